/** The microphone's samples, as they come. */

/** What the person can do about it, for each reason that a browser gives. */
const REASONS = {
  NotAllowedError: ["The microphone is blocked", "Allow this page to use it in the browser's address bar or settings, and try again."],
  NotFoundError: ["No microphone was found", "Connect one and try again."],
  NotReadableError: ["The microphone is busy", "Another program may be using it. Close that program and try again."],
};

export class MicrophoneProblem extends Error {
  constructor(title, detail) {
    super(title);
    this.title = title;
    this.detail = detail;
  }
}

async function open(constraints) {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new MicrophoneProblem(
      "This address may not use the microphone",
      "Browsers allow it on https:// pages and on this machine's own address, http://localhost, only.",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: constraints });
  } catch (error) {
    const [title, detail] = REASONS[error.name] ?? ["The microphone cannot be used", error.message];
    throw new MicrophoneProblem(title, detail);
  }
}

/** The loudest sample of a block. */
export const peakOf = (block) => block.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);

export class Microphone {
  /**
   * @param {{onBlock: (samples: Float32Array) => void, onEnd: () => void}} events
   *   onBlock: 512 mono samples; onEnd: the microphone is gone
   */
  constructor(events) {
    this.events = events;
  }

  /** Hz. */
  get sampleRate() {
    return this.context.sampleRate;
  }

  /**
   * The voice is copied from what is heard, so the browser must not process it: `constraints` says what it may do.
   * Throws MicrophoneProblem.
   */
  async start(constraints = {}) {
    this.stream = await open({ channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false, ...constraints });
    try {
      this.context = new AudioContext();
      await this.context.audioWorklet.addModule(new URL("./capture-worklet.js", import.meta.url));
      this.node = new AudioWorkletNode(this.context, "capture", { channelCount: 1, channelCountMode: "explicit" });
      this.node.port.onmessage = ({ data }) => this.events.onBlock(data);
      this.context.createMediaStreamSource(this.stream).connect(this.node).connect(this.context.destination);
      this.stream.getAudioTracks()[0].onended = () => this.events.onEnd();
      await this.context.resume();
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Again: nothing. */
  stop() {
    if (this.node) this.node.port.onmessage = null;
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    if (this.context && this.context.state !== "closed") this.context.close();
  }
}
