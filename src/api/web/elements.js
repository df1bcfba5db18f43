/** Elements in one expression. */

/**
 * @param {string} tag
 * @param {object} properties of the element: textContent, className, lang, …
 * @param {...(Node | string)} children
 */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** @param {() => void} press */
export function button(text, press, properties = {}) {
  const element = make("button", { type: "button", textContent: text, ...properties });
  element.addEventListener("click", press);
  return element;
}
