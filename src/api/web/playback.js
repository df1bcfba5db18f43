/** Plays pieces of sound one behind the other, as they come. */

import { RATE } from "./pcm.js";

const HEADROOM_SECONDS = 0.05; // before the first piece, so that it is ready when its time comes

export class Playback {
  constructor() {
    this.context = new AudioContext({ sampleRate: RATE });
    this.until = 0;
  }

  /** @param {Float32Array} samples 24 kHz */
  play(samples) {
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.context.destination);
    const begins = Math.max(this.until, this.context.currentTime + HEADROOM_SECONDS);
    source.start(begins);
    this.until = begins + buffer.duration;
  }

  /** What has not been played yet, in seconds. */
  get left() {
    return Math.max(0, this.until - this.context.currentTime);
  }

  /** What has not been played is not. */
  close() {
    this.context.close();
  }
}
