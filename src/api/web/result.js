/** The answer in words: both texts, how alike the voices are, and what did the work. */

const MARKS = { c2pa: "C2PA manifest", riff_info: "RIFF INFO", watermark: "watermark" };

const $ = (id) => document.getElementById(id);

function showText(element, text, language) {
  element.textContent = text;
  element.lang = language;
  element.hidden = false;
}

function likeness(value) {
  const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value });
  meter.setAttribute("aria-label", "Likeness of the two voices");
  return [meter, ` ${value.toFixed(2)} of 1`];
}

function facts(rows) {
  return rows.flatMap(([term, ...content]) => {
    const dt = Object.assign(document.createElement("dt"), { textContent: term });
    const dd = document.createElement("dd");
    dd.append(...content);
    return [dt, dd];
  });
}

/**
 * @param {object} job completed, as the API gives it
 * @param {(code: string) => string} nameOf a language's name
 */
export function showResult(job, nameOf) {
  showText($("original"), job.original_text, job.source_language);
  showText($("translated"), job.translated_text, job.target_language);
  $("answer-title").textContent = `In ${nameOf(job.target_language)}`;
  $("degraded").hidden = job.degraded.length === 0;
  $("degraded").textContent = `Done with less than this server's best: ${job.degraded.join("; ")}`;
  $("facts").replaceChildren(
    ...facts([
      ["Voice likeness", ...likeness(job.voice_similarity)],
      ["Heard", `${nameOf(job.source_language)}, by ${job.engines.transcription}`],
      ["Translated", `by ${job.engines.translation}`],
      ["Spoken", `by ${job.engines.voice}`],
      ["Marked as synthetic", job.provenance.map(({ kind }) => MARKS[kind] ?? kind).join(", ") || "no"],
    ]),
  );
}
