/** Errors in words, and what else is said beside the work itself. */

import { explain } from "./advice.js";

/** Say an error in `place`, with a button when the same thing may work later. */
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
  place.replaceChildren(...parts);
  place.scrollIntoView({ block: "nearest" });
}

/** To those who hear the page instead of seeing it. */
export const say = (text) => (document.getElementById("status").textContent = text);
