/** The microphone as mono samples. Only one recording runs at a time. */

import { MAX_SECONDS } from "./clip.js";

/** What the person can do about it, for each reason that a browser gives. */
const REASONS = {
  NotAllowedError: ["The microphone is blocked", "Allow this page to use it in the browser's address bar or settings, then press Record again. Or choose a file."],
  NotFoundError: ["No microphone was found", "Connect one and press Record again, or choose a file."],
  NotReadableError: ["The microphone is busy", "Another program may be using it. Close that program and press Record again, or choose a file."],
};

export class MicrophoneProblem extends Error {
  constructor(title, detail) {
    super(title);
    this.title = title;
    this.detail = detail;
  }
}

/** The voice is copied from this recording, so the browser must not process it. */
const CONSTRAINTS = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

async function openMicrophone() {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new MicrophoneProblem(
      "This address may not use the microphone",
      "Browsers allow it on https:// pages and on this machine's own address, http://localhost, only. Choose a file instead.",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: CONSTRAINTS });
  } catch (error) {
    const [title, detail] = REASONS[error.name] ?? ["The microphone cannot be used", `${error.message}. Choose a file instead.`];
    throw new MicrophoneProblem(title, detail);
  }
}

export class Recorder {
  /**
   * @param {{onBlock: (peak: number, seconds: number) => void, onEnd: () => void}} events
   *   onBlock: the loudest sample of the last 10 ms and the time recorded; onEnd: the limit is reached or the microphone is gone
   */
  constructor(events) {
    this.events = events;
    this.blocks = [];
    this.length = 0;
  }

  /** Throws MicrophoneProblem. */
  async start() {
    this.stream = await openMicrophone();
    try {
      this.context = new AudioContext();
      await this.context.audioWorklet.addModule(new URL("./capture-worklet.js", import.meta.url));
      this.node = new AudioWorkletNode(this.context, "capture", { channelCount: 1, channelCountMode: "explicit" });
      this.node.port.onmessage = ({ data }) => this.#take(data);
      this.context.createMediaStreamSource(this.stream).connect(this.node).connect(this.context.destination);
      this.stream.getAudioTracks()[0].onended = () => this.events.onEnd();
      await this.context.resume();
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  #take(block) {
    this.blocks.push(block);
    this.length += block.length;
    const peak = block.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    const seconds = this.length / this.context.sampleRate;
    this.events.onBlock(peak, seconds);
    if (seconds >= MAX_SECONDS) this.events.onEnd();
  }

  /** @returns {{samples: Float32Array, sampleRate: number}} everything recorded, at the microphone's own rate */
  stop() {
    const sampleRate = this.context.sampleRate;
    this.#close();
    const samples = new Float32Array(this.length);
    let at = 0;
    for (const block of this.blocks) {
      samples.set(block, at);
      at += block.length;
    }
    return { samples: samples.subarray(0, MAX_SECONDS * sampleRate), sampleRate };
  }

  #close() {
    if (this.node) this.node.port.onmessage = null;
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this.context?.close();
  }
}
