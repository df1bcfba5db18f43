/** A recording of the microphone. */

import { MAX_SECONDS } from "./clip.js";
import { Microphone, peakOf } from "./microphone.js";

export class Recorder {
  /**
   * @param {{onBlock: (peak: number, seconds: number) => void, onEnd: () => void}} events
   *   onBlock: the loudest sample of the last 10 ms and the time recorded; onEnd: the limit is reached or the microphone is gone
   */
  constructor(events) {
    this.events = events;
    this.blocks = [];
    this.length = 0;
    this.microphone = new Microphone({ onBlock: (block) => this.#take(block), onEnd: events.onEnd });
  }

  /** Throws MicrophoneProblem. */
  async start() {
    await this.microphone.start();
  }

  #take(block) {
    this.blocks.push(block);
    this.length += block.length;
    const seconds = this.length / this.microphone.sampleRate;
    this.events.onBlock(peakOf(block), seconds);
    if (seconds >= MAX_SECONDS) this.events.onEnd();
  }

  /** @returns {{samples: Float32Array, sampleRate: number}} everything recorded, at the microphone's own rate */
  stop() {
    const { sampleRate } = this.microphone;
    this.microphone.stop();
    const samples = new Float32Array(this.length);
    let at = 0;
    for (const block of this.blocks) {
      samples.set(block, at);
      at += block.length;
    }
    return { samples: samples.subarray(0, MAX_SECONDS * sampleRate), sampleRate };
  }
}
