/** The voices: kept with their speakers' consent, to be heard, renamed and deleted. */

import { deleteProfile, fetchProfiles, renameProfile, saveProfile, speak } from "./api.js";
import { clipFromAnswer, clipFromRecording, toBase64 } from "./clip.js";
import { button, make } from "./elements.js";
import { LiveLevels } from "./levels.js";
import { complain, say } from "./notices.js";
import { Player, clock } from "./player.js";
import { Recorder } from "./recorder.js";

const $ = (id) => document.getElementById(id);

const UNNAMED = "A voice without a name";
const SENTENCE = { text: "This is how I sound.", language: "en" };

export class Voices {
  constructor() {
    this.levels = new LiveLevels($("voice-levels"));
    this.player = new Player($("voice-player"), "the recording");
    this.recorder = null;
    this.clip = null;
    this.playing = new Set(); // players in the list
    $("voice-record").addEventListener("click", () => (this.recorder ? this.#stop() : this.#record()));
    $("voice-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    this.#show();
  }

  /** A voice says a sentence in English, or the name of a language that it speaks. */
  load({ languages, voice }) {
    const spoken = languages.find(({ code }) => voice.languages.includes(code));
    const speaksEnglish = voice.languages.includes(SENTENCE.language);
    this.sentence = speaksEnglish || !spoken ? SENTENCE : { text: spoken.native_name, language: spoken.code };
  }

  async shown() {
    $("voices-notice").replaceChildren();
    try {
      const profiles = await fetchProfiles();
      for (const player of this.playing) player.close();
      this.playing.clear();
      $("voices-list").replaceChildren(...profiles.map((profile) => this.#entry(profile)));
      $("voices-empty").hidden = profiles.length > 0;
    } catch (error) {
      complain($("voices-notice"), error, () => this.shown());
    }
  }

  // --- a new one

  #show() {
    const recording = Boolean(this.recorder);
    $("voice-recording").hidden = !recording;
    $("voice-player").hidden = recording || !this.clip;
    $("voice-nothing").hidden = recording || Boolean(this.clip);
    $("voice-record-label").textContent = recording ? "Stop" : this.clip ? "Record again" : "Record a voice";
  }

  async #record() {
    if (this.starting) return; // the browser may be asking for permission
    this.starting = true;
    $("voice-notice").replaceChildren();
    this.player.pause();
    this.levels.reset();
    const recorder = new Recorder({ onBlock: (peak, seconds) => this.#hear(peak, seconds), onEnd: () => this.#stop() });
    try {
      await recorder.start();
      this.recorder = recorder;
      this.#show();
      say("Recording.");
    } catch (error) {
      complain($("voice-notice"), error);
    } finally {
      this.starting = false;
    }
  }

  #hear(peak, seconds) {
    this.levels.push(peak);
    const time = clock(seconds);
    if ($("voice-timer").textContent !== time) $("voice-timer").textContent = time;
  }

  async #stop() {
    if (!this.recorder) return;
    const recorded = this.recorder.stop();
    this.recorder = null;
    try {
      this.clip = await clipFromRecording(recorded);
      this.player.load(this.clip);
    } catch (error) {
      complain($("voice-notice"), error);
    }
    this.#show();
  }

  async #save() {
    $("voice-notice").replaceChildren();
    if (this.saving) return;
    if (!this.clip) return complain($("voice-notice"), { title: "There is no recording yet", detail: "Record ten seconds of one person's speech first.", advice: "" });
    if (!$("voice-consent").checked) return complain($("voice-notice"), { title: "The speaker's agreement is missing", detail: "A voice is kept only with it.", advice: "" });
    this.saving = true;
    $("voice-save").setAttribute("aria-disabled", "true");
    const consent = { given: true, statement: $("voice-statement").textContent.trim(), recorded_at: new Date().toISOString() };
    const name = $("voice-name").value.trim() || null;
    try {
      await saveProfile({ reference_audio: await toBase64(this.clip.blob), audio_format: "auto", name, consent });
      $("voice-form").reset();
      this.clip = null;
      this.player.pause();
      this.#show();
      say("The voice is kept.");
      await this.shown();
    } catch (error) {
      complain($("voice-notice"), error);
    } finally {
      this.saving = false;
      $("voice-save").removeAttribute("aria-disabled");
    }
  }

  // --- those that are kept

  #entry(profile) {
    const { profile_id: id, name, created_at: created, duration_seconds: seconds, consent, verified } = profile;
    const agreed = verified ? "agreement by the voice itself" : consent ? "with agreement" : "without agreement on record";
    const day = new Date(created).toLocaleDateString("en", { dateStyle: "medium" });
    const title = make("h2", { textContent: name ?? UNNAMED, tabIndex: -1 });
    const notice = make("div", { className: "notice" });
    notice.setAttribute("role", "alert");
    const host = make("div", { hidden: true });
    const label = (text) => ({ ariaLabel: `${text} ${name ?? UNNAMED}` });
    const item = make("li", { className: "entry" }, title, make("p", { className: "dim", textContent: `${day}, ${seconds.toFixed(0)} s of speech, ${agreed}` }));
    item.append(
      make(
        "div",
        { className: "row" },
        button("Listen", ({ currentTarget }) => this.#listen(id, host, notice, currentTarget), label("Listen to")),
        button("Rename", () => this.#rename(profile, title, notice), label("Rename")),
        button("Delete", () => this.#delete(id, item, notice), label("Delete")),
      ),
      host,
      notice,
    );
    return item;
  }

  async #listen(id, host, notice, pressed) {
    if (pressed.ariaDisabled === "true") return;
    notice.replaceChildren();
    pressed.ariaDisabled = "true";
    try {
      const clip = await clipFromAnswer(await speak(this.sentence.text, this.sentence.language, id));
      if (!host.isConnected) return; // the list was made anew meanwhile
      const player = new Player(host, "the voice");
      this.playing.add(player);
      host.hidden = false;
      player.load({ ...clip, name: this.sentence.text });
      player.toggle();
    } catch (error) {
      complain(notice, error);
    } finally {
      pressed.ariaDisabled = null;
    }
  }

  #rename(profile, title, notice) {
    const input = make("input", { type: "text", value: profile.name ?? "", maxLength: 200, required: true, ariaLabel: "New name" });
    const form = make("form", { className: "row" }, input, make("button", { textContent: "Save the name" }), button("Cancel", () => form.replaceWith(title)));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await renameProfile(profile.profile_id, input.value.trim());
        await this.shown();
        say("Renamed.");
      } catch (error) {
        complain(notice, error);
      }
    });
    title.replaceWith(form);
    input.focus();
  }

  async #delete(id, item, notice) {
    if (!confirm("Delete this voice? What was spoken with it here is deleted, too.")) return;
    try {
      await deleteProfile(id);
      await this.shown();
      $("voices-title").focus();
      say("The voice is deleted.");
    } catch (error) {
      complain(notice, error);
    }
  }
}
