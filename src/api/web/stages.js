/** The list of five stages: which one runs, which are done, and how long each took. */

export const seconds = (ms) => (ms < 100 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`);

export class Stages {
  constructor(list) {
    this.items = [...list.querySelectorAll("li")];
  }

  reset() {
    for (const item of this.items) {
      this.#mark(item, "", "");
      item.style.removeProperty("--share");
    }
  }

  /** @returns {string | null} what to say about the stage that runs now */
  show({ stage, timestamps }) {
    const current = this.items.findIndex((item) => item.dataset.stage === stage);
    this.items.forEach((item, i) => {
      const state = i < current ? "done" : i === current ? "current" : "";
      this.#mark(item, state, this.#time(item, timestamps));
    });
    return current < 0 ? null : `${this.items[current].querySelector(".name").textContent}: ${current + 1} of ${this.items.length}`;
  }

  finish(timestamps) {
    const whole = Object.values(timestamps).reduce((sum, ms) => sum + ms, 0) || 1;
    for (const item of this.items) {
      this.#mark(item, "done", this.#time(item, timestamps));
      item.style.setProperty("--share", timestamps[`${item.dataset.stage}_ms`] / whole);
    }
  }

  /** Leave the stages that were done, and say where it stopped. */
  stop() {
    for (const item of this.items) if (item.dataset.state === "current") this.#mark(item, "stopped", "");
  }

  #time(item, timestamps) {
    const ms = timestamps?.[`${item.dataset.stage}_ms`];
    return typeof ms === "number" ? seconds(ms) : "";
  }

  #mark(item, state, time) {
    item.dataset.state = state;
    if (state === "current") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    item.querySelector(".time").textContent = time;
  }
}
