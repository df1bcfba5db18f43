/** Errors in words, and what else is said beside the work itself. */

import { explain } from "./advice.js";
import { keepToken } from "./api.js";

/** Asks for an access token. `done`: what to do with it. */
function tokenForm(done) {
  const form = Object.assign(document.createElement("form"), { className: "choice", noValidate: true });
  const label = document.createElement("label");
  const field = Object.assign(document.createElement("input"), { type: "password", autocomplete: "off", spellcheck: false });
  label.append("Access token ", field);
  form.append(label, Object.assign(document.createElement("button"), { textContent: "Use it" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!/^[!-~]+$/.test(field.value.trim())) return field.focus(); // what a header may hold
    keepToken(field.value.trim());
    done();
  });
  return form;
}

/** Say an error in `place`, with a button when the same thing may work later, or a field for the token that is missing. */
export function complain(place, error, retry) {
  const { title, detail, advice, retryable } = explain(error);
  const parts = [
    Object.assign(document.createElement("strong"), { textContent: title }),
    ...[detail, advice].filter(Boolean).map((text) => Object.assign(document.createElement("p"), { textContent: text })),
  ];
  if (retryable && retry) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Try again" });
    button.addEventListener("click", retry);
    parts.push(button);
  }
  if (error.code === "unauthenticated") parts.push(tokenForm(() => (place.replaceChildren(), retry?.())));
  place.replaceChildren(...parts);
  place.scrollIntoView({ block: "nearest" });
}

/** To those who hear the page instead of seeing it. */
export const say = (text) => (document.getElementById("status").textContent = text);
