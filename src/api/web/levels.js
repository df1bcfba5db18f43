/** The microphone's level while recording: the last few seconds as bars, the newest at the right. */

import { barsThatFit, drawBars } from "./player.js";

const BLOCKS_PER_BAR = 4; // about 45 ms
const SILENCE = 0.004; // -48 dB: below any voice, above a muted microphone

export class LiveLevels {
  constructor(canvas) {
    this.canvas = canvas;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.reset();
  }

  reset() {
    this.bars = [];
    this.pending = [];
    this.heardAt = 0;
  }

  /** @param {number} peak loudest sample of a block, 0 to 1 */
  push(peak) {
    this.pending.push(peak);
    if (this.pending.length < BLOCKS_PER_BAR) return;
    this.bars.push(Math.max(...this.pending));
    this.pending = [];
    this.#draw();
  }

  /** How long nothing was heard, in seconds, `now` seconds into the recording. */
  silentFor(now) {
    if (this.bars.at(-1) > SILENCE) this.heardAt = now;
    return now - this.heardAt;
  }

  /** The square root shows a soft voice; with reduced motion the level is one row that grows and shrinks in place. */
  #draw() {
    const fit = barsThatFit(this.canvas);
    this.bars = this.bars.slice(-fit);
    const heights = this.bars.map(Math.sqrt);
    if (this.still.matches) {
      const lit = Math.round(heights.at(-1) * fit);
      drawBars(this.canvas, new Float32Array(fit).fill(0.4), lit);
    } else {
      drawBars(this.canvas, [...new Float32Array(fit - heights.length), ...heights], fit);
    }
  }
}
