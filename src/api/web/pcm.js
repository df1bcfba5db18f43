/** Sound as live translation has it: PCM16, little-endian, mono, 24 kHz; made and read as it comes. */

/** Hz. */
export const RATE = 24_000;

const LOBES = 16; // of the sinc on each side: enough that no alias is heard
const PASSED = 0.95; // of the band

const gcd = (a, b) => (b ? gcd(b, a % b) : a);

/** A low-pass of `2 * half` taps, a sinc in a Hann window, `shift` samples late; its taps sum to 1. */
function lowPass(half, cutoff, shift) {
  const taps = Float32Array.from({ length: 2 * half }, (_, i) => {
    const x = i - half + 1 - shift;
    const angle = 2 * Math.PI * cutoff * x;
    return (angle ? Math.sin(angle) / angle : 1) * Math.cos((Math.PI * x) / (2 * half)) ** 2;
  });
  const sum = taps.reduce((all, tap) => all + tap, 0);
  return taps.map((tap) => tap / sum);
}

/** Samples of the microphone's rate in, PCM16 out. */
export class Resampler {
  /** @param {number} rate Hz, whole */
  constructor(rate) {
    const common = gcd(rate, RATE);
    this.up = RATE / common; // output samples for every
    this.down = rate / common; // input samples
    const band = Math.min(1, RATE / rate);
    const half = Math.ceil(LOBES / band);
    this.filters = Array.from({ length: this.up }, (_, phase) => lowPass(half, (PASSED * band) / 2, phase / this.up));
    this.phase = 0;
    this.rest = new Float32Array(half - 1);
  }

  /** @param {Float32Array} samples in [-1, 1]; louder ones are clipped. @returns {Int16Array} as much as is ready */
  push(samples) {
    const sound = new Float32Array(this.rest.length + samples.length);
    sound.set(this.rest);
    sound.set(samples, this.rest.length);
    const made = [];
    let at = 0;
    for (let filter = this.filters[this.phase]; at + filter.length <= sound.length; filter = this.filters[this.phase]) {
      const value = filter.reduce((sum, tap, i) => sum + tap * sound[at + i], 0);
      made.push(Math.round(Math.max(-1, Math.min(1, value)) * 32767));
      this.phase += this.down;
      at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    this.rest = sound.slice(at);
    return Int16Array.from(made);
  }
}

/** @param {string} base64 PCM16 @returns {Float32Array} in [-1, 1] */
export function samplesOf(base64) {
  const view = new DataView(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)).buffer);
  return Float32Array.from({ length: view.byteLength / 2 }, (_, i) => view.getInt16(2 * i, true) / 32768);
}
