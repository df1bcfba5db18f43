/** The answer in words: both texts, how alike the voices are, and what did the work. */

const MARKS = { c2pa: "C2PA manifest", riff_info: "RIFF INFO", watermark: "watermark" };

const $ = (id) => document.getElementById(id);

function showText(element, text, language) {
  element.textContent = text;
  element.lang = language;
  element.hidden = false;
}

/** What was said; where several languages were, each sentence is marked with its own. */
function showSpoken(element, job, languages) {
  showText(element, job.original_text, job.source_language);
  if (languages.length < 2) return;
  const sentences = job.segments.map(({ text, language }) =>
    Object.assign(document.createElement("span"), { textContent: `${text} `, lang: language }),
  );
  element.replaceChildren(...sentences);
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
  const spoken = [...new Set(job.segments.map(({ language }) => language ?? job.source_language))];
  showSpoken($("original"), job, spoken);
  showText($("translated"), job.translated_text, job.target_language);
  $("answer-title").textContent = `In ${nameOf(job.target_language)}`;
  $("degraded").hidden = job.degraded.length === 0;
  $("degraded").textContent = `Done with less than this server's best: ${job.degraded.join("; ")}`;
  $("facts").replaceChildren(
    ...facts([
      ["Voice likeness", ...likeness(job.voice_similarity)],
      ["Heard", `${spoken.map(nameOf).join(" and ")}, by ${job.engines.transcription}`],
      ["Translated", `by ${job.engines.translation}`],
      ["Spoken", `by ${job.engines.voice}`],
      ["Marked as synthetic", job.provenance.map(({ kind }) => MARKS[kind] ?? kind).join(", ") || "no"],
    ]),
  );
}
