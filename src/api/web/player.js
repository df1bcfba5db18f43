/** A recording to look at and listen to: play button, waveform with playhead, times. */

const BAR = 3; // CSS pixels, gap included
const SEEK_SECONDS = 1;
const STEPS = { ArrowLeft: -SEEK_SECONDS, ArrowDown: -SEEK_SECONDS, ArrowRight: SEEK_SECONDS, ArrowUp: SEEK_SECONDS, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** The loudest sample of each of `count` equal parts, scaled so that the loudest part is 1. */
export function peaksOf(samples, count) {
  const peaks = new Float32Array(count);
  for (let bar = 0; bar < count; bar++) {
    const end = Math.floor(((bar + 1) * samples.length) / count);
    for (let i = Math.floor((bar * samples.length) / count); i < end; i++) peaks[bar] = Math.max(peaks[bar], Math.abs(samples[i]));
  }
  const loudest = Math.max(...peaks, 1e-4);
  return peaks.map((peak) => peak / loudest);
}

/**
 * Draw bars from the left edge, in the canvas's own text colour.
 * @param {number} played bars before this one are drawn full, the others fainter
 */
export function drawBars(canvas, peaks, played) {
  const scale = window.devicePixelRatio;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const middle = canvas.clientHeight / 2;
  peaks.forEach((peak, bar) => {
    context.fillStyle = bar < played ? style.color : style.getPropertyValue("--faint");
    const half = Math.max(1, peak * (middle - 1));
    context.fillRect(bar * BAR, middle - half, BAR - 1, half * 2);
  });
}

export const barsThatFit = (canvas) => Math.max(1, Math.floor(canvas.clientWidth / BAR));

const TEMPLATE = `
  <button type="button" class="play"><svg viewBox="0 0 24 24" aria-hidden="true"><path class="go" d="M8 5v14l11-7z"/><path class="halt" d="M7 5h4v14H7zM13 5h4v14h-4z"/></svg></button>
  <div class="wave" role="slider" tabindex="0" aria-valuemin="0"><canvas aria-hidden="true"></canvas></div>
  <p><span><span class="now">0:00</span> / <span class="whole"></span></span><span class="caption"></span></p>`;

export class Player {
  /** @param {HTMLElement} host filled by this player; @param {string} label what is played: "your message" */
  constructor(host, label) {
    this.host = host;
    this.label = label;
    host.className = "player";
    host.innerHTML = TEMPLATE;
    this.button = host.querySelector("button");
    this.wave = host.querySelector(".wave");
    this.canvas = host.querySelector("canvas");
    this.audio = new Audio();
    this.wave.setAttribute("aria-label", `Position in ${label}`);
    this.#listen();
    this.#show();
  }

  #listen() {
    this.button.addEventListener("click", () => this.toggle());
    this.wave.addEventListener("pointerdown", (event) => this.#drag(event));
    this.wave.addEventListener("pointermove", (event) => event.buttons && this.#drag(event));
    this.wave.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["play", "pause", "ended", "seeked"]) this.audio.addEventListener(name, () => this.#show());
    this.audio.addEventListener("play", () => this.#animate());
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(this.canvas);
    this.closing = new AbortController();
    const { signal } = this.closing;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#show(), { signal });
  }

  /** Let the recording go, of a player that is not shown again. */
  close() {
    this.audio.pause();
    this.observer.disconnect();
    this.closing.abort();
    URL.revokeObjectURL(this.audio.src);
  }

  /** Show another clip; the one before is let go. `buffer` null: it cannot be played here. */
  load({ blob, buffer, name = "" }) {
    this.audio.pause();
    URL.revokeObjectURL(this.audio.src);
    this.audio.src = URL.createObjectURL(blob);
    this.samples = buffer?.getChannelData(0);
    this.duration = buffer?.duration ?? 0;
    this.button.disabled = !buffer;
    this.wave.setAttribute("aria-valuemax", this.duration.toFixed(1));
    this.host.querySelector(".whole").textContent = buffer ? clock(Math.max(1, Math.round(this.duration))) : "?";
    this.host.querySelector(".caption").textContent = buffer ? name : `${name}: this browser cannot play it, the server may read it`;
    this.#resize();
  }

  get playing() {
    return !this.audio.paused && !this.audio.ended;
  }

  toggle() {
    if (this.playing) this.audio.pause();
    else if (this.duration) this.audio.play();
  }

  pause() {
    this.audio.pause();
  }

  seek(seconds) {
    this.audio.currentTime = Math.max(0, Math.min(this.duration, seconds));
    this.#show();
  }

  #drag(event) {
    const box = this.wave.getBoundingClientRect();
    this.seek(((event.clientX - box.left) / box.width) * this.duration);
  }

  #key(event) {
    if (event.key === " " || event.key === "Enter") this.toggle();
    else if (event.key in STEPS) this.seek(this.audio.currentTime + STEPS[event.key]);
    else return;
    event.preventDefault();
  }

  #animate() {
    this.#show();
    if (this.playing) requestAnimationFrame(() => this.#animate());
  }

  #resize() {
    if (this.samples && this.canvas.clientWidth) this.peaks = peaksOf(this.samples, barsThatFit(this.canvas));
    this.#show();
  }

  #show() {
    const now = this.audio.currentTime;
    this.host.classList.toggle("playing", this.playing);
    this.button.setAttribute("aria-label", `${this.playing ? "Pause" : "Play"} ${this.label}`);
    this.wave.setAttribute("aria-valuenow", now.toFixed(1));
    this.wave.setAttribute("aria-valuetext", `${now.toFixed(1)} of ${(this.duration ?? 0).toFixed(1)} seconds`);
    this.host.querySelector(".now").textContent = clock(now);
    const peaks = this.samples ? (this.peaks ?? []) : new Float32Array(barsThatFit(this.canvas));
    drawBars(this.canvas, peaks, this.duration ? (now / this.duration) * peaks.length : 0);
  }
}
