/**
 * The live part: whoever speaks is heard in another language while they speak.
 *
 * document.body.dataset.live: off | starting | on | finishing
 */

import { fetchProfiles } from "./api.js";
import { LanguageChoice } from "./languages.js";
import { LiveLevels } from "./levels.js";
import { LiveSession } from "./live-session.js";
import { Microphone, peakOf } from "./microphone.js";
import { complain, say } from "./notices.js";
import { Resampler, samplesOf } from "./pcm.js";
import { Playback } from "./playback.js";
import { clock } from "./player.js";

const $ = (id) => document.getElementById(id);

const SPEAKER = "speaker";
const SUBTITLE_MS = 8_000; // how long a subtitle stays when nothing follows

/** What a person can do about what went wrong in a session that goes on. */
const TROUBLES = {
  overloaded: ["Some of it came too late", "This server is slower than you speak. Make longer pauses, or say less at a time."],
  deadline_exceeded: ["Some of it took too long", "This server is slower than you speak. Make longer pauses, or say less at a time."],
  speech_not_understood: ["Some of it was not understood", "Speak nearer to the microphone, and check the language that you chose."],
  unsupported_language: ["This language cannot be translated", "Say which language you speak, or choose another one to be heard in."],
  unauthenticated: ["The session's token has ended", "Start again."],
};

/** Why a session ended, where nobody here ended it. */
const ENDINGS = {
  no_audio: ["Nothing came from the microphone", "A session ends after half a minute without any sound. Check the microphone and start again."],
  too_fast: ["The sound came too fast", "The connection was away for too long. Start again."],
  too_slow: ["The connection is too slow", "It does not carry the sound as fast as you speak. Start again on a better one."],
  overloaded: ["The server cannot keep up", "Start again in a moment."],
  expired: ["The session has ended", "A session lasts an hour at most. Start another one."],
  audio_budget_used_up: ["Your audio for today is used up", "Go on tomorrow, or ask who runs this server."],
  token_ended: ["The session's token has ended", "Start again."],
  server_ending: ["The server is being stopped", "Start again in a minute."],
  failed: ["Something went wrong in the server", "Start again."],
  broken: ["The connection broke", "What was said last may be missing. Start again."],
};

export class LivePart {
  constructor() {
    this.languages = new LanguageChoice($("live-source"), $("live-target"));
    this.levels = new LiveLevels($("live-levels"));
    this.#enter("off");
    $("live-start").addEventListener("click", () => this.#press());
    $("live-target").addEventListener("change", () => this.#name());
    for (const part of ["original", "translated", "subtitles"]) {
      $(`show-${part}`).addEventListener("change", () => this.#switch());
    }
    this.#switch();
  }

  /** @param {object} offer as the API gives it */
  load(offer) {
    this.languages.load(offer);
    this.#name();
    this.#enter("off");
  }

  /** The voices may have changed since. */
  async shown() {
    if (this.state !== "off") return;
    try {
      const chosen = $("live-voice").value;
      const profiles = await fetchProfiles();
      const voices = profiles.map(({ profile_id: id, name }) => new Option(name ?? "A voice without a name", id));
      $("live-voice").replaceChildren(new Option("Your own", SPEAKER), ...voices);
      $("live-voice").value = profiles.some(({ profile_id: id }) => id === chosen) ? chosen : SPEAKER;
    } catch (error) {
      complain($("live-notice"), error, () => this.shown());
    }
  }

  get state() {
    return document.body.dataset.live;
  }

  #enter(state) {
    document.body.dataset.live = state;
    const open = state === "on";
    $("live-on").hidden = !open;
    $("live-off").hidden = open;
    $("live-start").textContent = { off: "Start", starting: "Starting…", on: "Stop", finishing: "End now" }[state];
    $("live-start").setAttribute("aria-disabled", String(state === "starting" || !this.languages.target));
    $("live-choices").hidden = state !== "off";
    this.languages.enable(state === "off");
    $("live-hint").textContent = { off: "Use headphones where you can, so that the microphone hears you alone.", finishing: "What you said last is still being translated." }[state] ?? "";
  }

  #name() {
    const { target } = this.languages;
    $("live-answer-title").textContent = target ? `In ${this.languages.nameOf(target)}` : "Translation";
  }

  #press() {
    if (this.state === "off" && this.languages.target) this.#start();
    else if (this.state === "on") this.#finish();
    else if (this.state === "finishing") {
      this.session.leave("client_closed");
      this.#end();
    }
  }

  async #start() {
    this.#clear();
    this.#enter("starting");
    const { target: language, source } = this.languages;
    $("live-translated").lang = $("live-subtitles").lang = language;
    if (source) $("live-original").lang = source;
    else $("live-original").removeAttribute("lang");
    try {
      await this.#open({ language, source, voice: $("live-voice").value || SPEAKER });
      this.#enter("on");
      say("Live. Speak.");
    } catch (error) {
      this.#release();
      this.#enter("off");
      complain($("live-notice"), error, () => this.#start());
    }
  }

  /** The loudspeaker plays while the microphone hears, so the browser takes out what it plays. */
  async #open(wanted) {
    this.playback = new Playback();
    const microphone = new Microphone({ onBlock: (block) => this.#hear(block), onEnd: () => this.#finish() });
    await microphone.start({ echoCancellation: true });
    this.microphone = microphone;
    const session = new LiveSession({
      heard: (text) => this.#write($("live-original"), text),
      said: (event) => this.#said(event),
      sound: (event) => this.#sound(event),
      trouble: ({ code, message }) => this.#trouble(code, message),
      closed: (reason) => this.#closed(reason),
    });
    this.resampler = new Resampler(microphone.sampleRate);
    this.seconds = 0;
    this.levels.reset();
    await session.open(wanted);
    this.session = session;
  }

  #hear(block) {
    if (this.state !== "on") return;
    this.session.send(this.resampler.push(block));
    this.seconds += block.length / this.microphone.sampleRate;
    this.levels.push(peakOf(block));
    this.#tell($("live-timer"), clock(this.seconds));
    this.#tell($("live-quiet"), this.levels.silentFor(this.seconds) > 5 ? "Nothing is heard. Is the microphone muted?" : "");
  }

  #tell(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  /** Append, and follow it unless the reader has scrolled back. */
  #write(element, text) {
    const follows = element.scrollHeight - element.scrollTop - element.clientHeight < 4;
    element.append(text);
    if (follows) element.scrollTop = element.scrollHeight;
  }

  #said({ delta, degraded }) {
    this.#write($("live-translated"), delta);
    $("live-subtitles").textContent = delta.trim();
    clearTimeout(this.fading);
    this.fading = setTimeout(() => ($("live-subtitles").textContent = ""), SUBTITLE_MS);
    for (const note of degraded) this.notes.add(note);
    $("live-degraded").hidden = this.notes.size === 0;
    $("live-degraded").textContent = `Done with less than this server's best: ${[...this.notes].join("; ")}`;
  }

  #sound({ delta, lag_ms: lag }) {
    this.playback.play(samplesOf(delta));
    $("live-lag").textContent = `Heard ${(lag / 1000).toFixed(1)} s after it was said.`;
  }

  #trouble(code, message) {
    const [title, advice] = TROUBLES[code] ?? ["Some of it was left out", ""];
    complain($("live-notice"), { title, detail: message, advice });
  }

  #finish() {
    if (this.state !== "on") return;
    this.microphone.stop();
    this.#enter("finishing");
    say("Stopping. What you said last is still being translated.");
    this.session.finish();
  }

  /** What came is played to its end. */
  #closed(reason) {
    const told = ENDINGS[reason];
    if (told) complain($("live-notice"), { title: told[0], detail: told[1], advice: "" });
    this.microphone.stop();
    this.#enter("finishing");
    this.playing = setTimeout(() => this.#end(), this.playback.left * 1000);
  }

  #end() {
    clearTimeout(this.playing);
    this.#release();
    this.#enter("off");
    say("The live translation has ended.");
  }

  #release() {
    this.microphone?.stop();
    this.playback?.close();
    this.microphone = this.playback = this.session = null;
  }

  #clear() {
    for (const id of ["live-original", "live-translated", "live-subtitles", "live-lag", "live-notice"]) $(id).replaceChildren();
    this.notes = new Set();
    $("live-degraded").hidden = true;
  }

  #switch() {
    $("live-original").hidden = !$("show-original").checked;
    $("live-translated").hidden = !$("show-translated").checked;
    $("live-subtitles").hidden = !$("show-subtitles").checked;
  }
}
