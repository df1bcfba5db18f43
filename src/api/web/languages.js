/** The two language lists: what the server hears, and what it can make of that. */

const REMEMBERED = "target-language";

function fill(select, languages, chosen) {
  select.replaceChildren(
    ...languages.map(({ code, native_name: name }) => Object.assign(document.createElement("option"), { value: code, textContent: name, lang: code })),
  );
  if (languages.some(({ code }) => code === chosen)) select.value = chosen;
}

export class LanguageChoice {
  /** @param {HTMLSelectElement} source, @param {HTMLSelectElement} target */
  constructor(source, target) {
    this.sourceSelect = source;
    this.targetSelect = target;
    this.languages = [];
    this.pairs = [];
    source.addEventListener("change", () => this.#fillTargets());
    target.addEventListener("change", () => localStorage.setItem(REMEMBERED, target.value));
  }

  /** @param {{languages: {code, name, native_name}[], pairs: {source, target}[]}} offer what the server can do now */
  load({ languages, pairs }) {
    this.languages = languages;
    this.pairs = pairs;
    const sources = languages.filter(({ code }) => pairs.some((pair) => pair.source === code));
    const detect = { code: "", native_name: "Detect the language" };
    fill(this.sourceSelect, sources.length > 1 ? [detect, ...sources] : sources);
    this.#fillTargets();
  }

  #fillTargets() {
    const works = ({ code }) => this.pairs.some(({ source, target }) => target === code && (!this.source || source === this.source));
    const offered = this.languages.filter(works);
    const foreign = offered.find(({ code }) => !navigator.language.startsWith(code)); // nobody wants their own
    fill(this.targetSelect, offered, this.target || localStorage.getItem(REMEMBERED) || foreign?.code);
  }

  /** Whether the person may choose now. */
  enable(on) {
    this.sourceSelect.disabled = this.targetSelect.disabled = !on || this.pairs.length === 0;
  }

  /** Code of the language spoken; null: the server detects it. */
  get source() {
    return this.sourceSelect.value || null;
  }

  /** Empty while there is nothing to choose from. */
  get target() {
    return this.pairs.length ? this.targetSelect.value : "";
  }

  /** English name of a language, for this page's own sentences. */
  nameOf(code) {
    return this.languages.find((language) => language.code === code)?.name ?? code;
  }
}
