/** The history: messages of before, each with both texts, and with both recordings where they are there. */

import { addressOf, deleteJob, fetchJob, fetchJobs } from "./api.js";
import { clipFromAnswer } from "./clip.js";
import { button, make } from "./elements.js";
import { complain, say } from "./notices.js";
import { Player } from "./player.js";

const $ = (id) => document.getElementById(id);

const MOST_SENT = 10;
const sent = new Map(); // what was recorded or chosen here, by the job's id, until this page is closed

/** The service deletes a recording when it has translated it: this page keeps the last ones itself. */
export function keepSent(jobId, clip) {
  sent.set(jobId, clip);
  if (sent.size > MOST_SENT) sent.delete(sent.keys().next().value);
}

const when = (time) => new Date(time).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

export class History {
  constructor() {
    this.names = new Map();
    this.players = new Map(); // by the job's id
    $("history-more").addEventListener("click", () => this.#more());
  }

  load({ languages }) {
    this.names = new Map(languages.map(({ code, name }) => [code, name]));
  }

  async shown() {
    for (const id of this.players.keys()) this.#close(id);
    $("history-list").replaceChildren();
    this.cursor = null;
    await this.#more();
  }

  async #more() {
    $("history-notice").replaceChildren();
    try {
      const { jobs, next_cursor: cursor } = await fetchJobs(this.cursor);
      this.cursor = cursor;
      $("history-list").append(...jobs.map((job) => this.#entry(job)));
      $("history-more").hidden = !cursor;
      this.#count();
    } catch (error) {
      complain($("history-notice"), error, () => this.#more());
    }
  }

  #count() {
    $("history-empty").hidden = $("history-list").children.length > 0;
  }

  #languages({ source_language: source, target_language: target }) {
    const name = (code) => this.names.get(code) ?? code;
    return [source, target].filter(Boolean).map(name).join(" → ");
  }

  #entry(job) {
    const told = job.status === "completed" ? (job.translated_text ?? job.original_text) : (job.error?.title ?? job.status);
    const text = make("span", { className: "gist", textContent: told, lang: job.status === "completed" ? job.target_language : "en", dir: "auto" });
    const facts = make("span", { className: "dim", textContent: `${when(job.created_at)}  ${this.#languages(job)}` });
    const body = make("div", { className: "entry" });
    const details = make("details", {}, make("summary", {}, text, facts), body);
    const item = make("li", {}, details);
    details.addEventListener("toggle", () => (details.open ? this.#open(job.job_id, body, item) : this.#close(job.job_id)));
    return item;
  }

  async #open(id, body, item) {
    const remove = button("Delete", () => this.#delete(id, body, item), { className: "quiet-button" });
    this.players.set(id, []);
    try {
      const job = await fetchJob(id);
      const heard = this.#side(id, "mine", "What was said", job.original_text, job.source_language, sent.get(id));
      const answer = job.audio_base64 && (await clipFromAnswer(job.audio_base64));
      const said = this.#side(id, "theirs", "The translation", job.translated_text, job.target_language, answer);
      if (!this.players.has(id)) return; // it was closed meanwhile
      const why = job.error && make("p", { textContent: job.error.detail });
      body.replaceChildren(...[why, job.original_text && heard.element, job.translated_text && said.element, remove].filter(Boolean));
      for (const side of [heard, said]) side.load();
    } catch (error) {
      complain(body, error, () => this.#open(id, body, item));
    }
  }

  /** A text, its recording if there is one, and the recording to keep. */
  #side(id, side, title, text, language, clip) {
    const element = make("section", { className: side }, make("h2", { textContent: title }));
    element.append(make("p", { className: "words", textContent: text ?? "", lang: language ?? "", dir: "auto" }));
    if (!clip) {
      const why = side === "mine" ? "Its recording is gone: the server deletes it when it is translated, and this page keeps it until it is closed." : "There is no recording of it.";
      element.append(make("p", { className: "dim", textContent: why }));
      return { element, load() {} };
    }
    const host = make("div");
    const player = new Player(host, title.toLowerCase());
    const link = make("a", { className: "button", download: `${side === "mine" ? "original" : "translation"}-${language}.${clip.format}`, textContent: `Download ${title.toLowerCase()}` });
    element.append(host, link);
    this.players.get(id)?.push(player);
    return {
      element,
      load() {
        player.load(clip);
        link.href = player.audio.src;
      },
    };
  }

  #close(id) {
    for (const player of this.players.get(id) ?? []) player.close();
    this.players.delete(id);
  }

  async #delete(id, body, item) {
    try {
      await deleteJob(addressOf(id));
      this.#close(id);
      sent.delete(id);
      const next = item.nextElementSibling ?? item.previousElementSibling;
      item.remove();
      this.#count();
      (next?.querySelector("summary") ?? $("history-title")).focus();
      say("Deleted.");
    } catch (error) {
      complain(body, error, () => this.#delete(id, body, item));
    }
  }
}
