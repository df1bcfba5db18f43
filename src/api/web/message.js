/**
 * The message part: a message on the left, its translation on the right, one button between them.
 *
 * document.body.dataset.state: idle | ready | recording | working | done | failed
 */

import { deleteJob, followJob, startTranslation } from "./api.js";
import { clipFromAnswer, clipFromFile, clipFromRecording, toBase64 } from "./clip.js";
import { keepSent } from "./history.js";
import { LanguageChoice } from "./languages.js";
import { LiveLevels } from "./levels.js";
import { complain, say } from "./notices.js";
import { Player, clock } from "./player.js";
import { Recorder } from "./recorder.js";
import { showResult } from "./result.js";
import { Stages, seconds } from "./stages.js";

const $ = (id) => document.getElementById(id);

const stages = new Stages($("stages"));
const languages = new LanguageChoice($("source-language"), $("target"));
const levels = new LiveLevels($("recording-levels"));
const sourcePlayer = new Player($("source-player"), "your message");
const answerPlayer = new Player($("answer-player"), "the translation");

let clip = null;
let recorder = null;
let starting = false;
let work = null; // {controller: AbortController, address: string | null} of the translation that runs

const state = () => document.body.dataset.state;

function enter(next) {
  document.body.dataset.state = next;
  const recording = next === "recording";
  $("recording").hidden = !recording;
  $("limits").classList.toggle("unseen", Boolean(clip));
  $("nothing").hidden = recording || Boolean(clip);
  $("source-player").hidden = recording || !clip;
  $("record-label").textContent = recording ? "Stop" : clip ? "Record again" : "Record";
  $("cancel").hidden = next !== "working";
  $("translate").setAttribute("aria-disabled", String(!readyToTranslate()));
  $("translate").textContent = next === "working" ? "Translating…" : "Translate";
  $("translate-hint").textContent = hint();
  $("record").disabled = $("quality").disabled = next === "working";
  languages.enable(next !== "working");
  $("file").disabled = recording || next === "working";
  $("answer").setAttribute("aria-busy", String(next === "working"));
}

const readyToTranslate = () => Boolean(clip && languages.target) && !["recording", "working"].includes(state());

function hint() {
  if (state() === "recording") return "Press Stop when you have said it.";
  if (state() === "working" || (clip && languages.target)) return "";
  return clip ? "The list of languages is missing." : "Record a message or choose a file first.";
}

function clearNotices() {
  $("source-notice").replaceChildren();
  $("answer-notice").replaceChildren();
}

/** Take away the last answer: it belongs to another message or another wish. */
function clearAnswer() {
  answerPlayer.pause();
  $("result").hidden = $("original").hidden = $("total").hidden = true;
  nameAnswer();
  $("stages-title").textContent = "What happens to it";
  stages.reset();
}

function nameAnswer() {
  if ($("result").hidden) $("answer-title").textContent = languages.target ? `In ${languages.nameOf(languages.target)}` : "Translation";
}

// --- the message

/** Show the clip that `make` gives, or say why there is none and keep the one before. */
async function useClip(make) {
  clearNotices();
  try {
    clip = await make();
    clearAnswer();
    sourcePlayer.load(clip);
    say(`${clip.name}${clip.buffer ? `, ${clip.buffer.duration.toFixed(1)} seconds` : ""}. Ready to translate.`);
  } catch (error) {
    complain($("source-notice"), error);
  }
  enter(clip ? "ready" : "idle");
}

async function startRecording() {
  if (starting) return; // the browser may be asking for permission; a disabled button would lose the focus
  starting = true;
  clearNotices();
  sourcePlayer.pause();
  answerPlayer.pause();
  const attempt = new Recorder({ onBlock: showLevel, onEnd: stopRecording });
  try {
    await attempt.start();
    recorder = attempt;
    levels.reset();
    clearAnswer();
    enter("recording");
    say("Recording.");
  } catch (error) {
    complain($("source-notice"), error);
  } finally {
    starting = false;
  }
}

function showLevel(peak, elapsed) {
  levels.push(peak);
  const time = clock(elapsed);
  if ($("timer").textContent !== time) $("timer").textContent = time;
  const warning = levels.silentFor(elapsed) > 2 ? "Nothing is heard. Is the microphone muted?" : "";
  if ($("quiet").textContent !== warning) $("quiet").textContent = warning;
}

function stopRecording() {
  if (!recorder) return;
  const recorded = recorder.stop();
  recorder = null;
  useClip(() => clipFromRecording(recorded));
}

// --- the translation

async function request() {
  return {
    audio: await toBase64(clip.blob),
    audio_format: "auto",
    source_language: languages.source,
    target_language: languages.target,
    priority: "interactive",
    options: { quality: document.querySelector("[name=quality]:checked").value, return_base64: true, return_audio_url: false },
  };
}

function showProgress(job) {
  const current = stages.show(job);
  if (job.status === "pending") $("stages-title").textContent = job.position > 1 ? `Waiting for its turn: ${job.position - 1} before it` : "Waiting for its turn";
  else $("stages-title").textContent = "Working on it";
  if (current && $("status").textContent !== current) say(current);
}

async function run(mine) {
  const { signal } = mine.controller;
  const started = await startTranslation(await request(), signal);
  mine.address = started.address;
  keepSent(started.job.job_id, clip);
  const job = await followJob(started, showProgress, signal);
  const answer = await clipFromAnswer(job.audio_base64);
  signal.throwIfAborted();
  show(job, answer);
}

async function translate() {
  if (!readyToTranslate()) return;
  clearNotices();
  clearAnswer();
  sourcePlayer.pause();
  const mine = (work = { controller: new AbortController(), address: null });
  $("stages-title").textContent = "Sending it";
  enter("working");
  $("translate").focus(); // "Try again" has just gone
  say("Sending the message.");
  $("answer").scrollIntoView({ block: "nearest" });
  try {
    await run(mine);
  } catch (error) {
    if (mine.controller.signal.aborted) return;
    stages.stop();
    $("stages-title").textContent = "How far it came";
    enter("failed");
    complain($("answer-notice"), error, translate);
  }
}

function show(job, answer) {
  stages.finish(job.timestamps);
  $("stages-title").textContent = "How long it took";
  $("total").textContent = `${seconds(job.processing_time_ms)} in all, for ${job.duration_seconds.toFixed(1)} s of speech.`;
  $("total").hidden = false;
  $("result").hidden = false;
  showResult(job, (code) => languages.nameOf(code));
  answerPlayer.load(answer);
  $("download").href = answerPlayer.audio.src;
  $("download").download = `message-${job.target_language}.wav`;
  enter("done");
  say(`Done. ${$("answer-title").textContent}: ${job.translated_text}`);
  $("answer-title").focus({ preventScroll: true });
  $("answer").scrollIntoView({ block: "nearest" });
}

function cancel() {
  const { controller, address } = work;
  controller.abort();
  if (address) deleteJob(address).catch(() => {}); // it may have ended just now; then there is nothing to stop
  stages.reset();
  $("stages-title").textContent = "What happens to it";
  enter("ready");
  say("Cancelled.");
  $("translate").focus();
}

// --- wiring

/** @param {object} offer the languages, as the API gives them */
export function loadMessage(offer) {
  clearNotices();
  languages.load(offer);
  if (!languages.target) complain($("source-notice"), { title: "No language can be translated", detail: "This server has no pair of languages installed.", advice: "" });
  nameAnswer();
  enter(state());
}

function acceptDrops(page) {
  page.addEventListener("dragover", (event) => {
    event.preventDefault();
    page.classList.toggle("over", !$("file").disabled);
  });
  page.addEventListener("dragleave", (event) => !page.contains(event.relatedTarget) && page.classList.remove("over"));
  page.addEventListener("drop", (event) => {
    event.preventDefault();
    page.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file && !$("file").disabled) useClip(() => clipFromFile(file));
  });
}

$("record").addEventListener("click", () => (state() === "recording" ? stopRecording() : startRecording()));
$("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = ""; // so that the same file can be chosen again
  if (file) useClip(() => clipFromFile(file));
});
$("composer").addEventListener("submit", (event) => (event.preventDefault(), translate()));
$("cancel").addEventListener("click", cancel);
$("composer").addEventListener("change", nameAnswer);
acceptDrops($("source"));
enter("idle");
