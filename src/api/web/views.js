/** Which part of the page is shown: the one that the address names behind its #, else the first. */

/**
 * @param {HTMLElement} nav whose links are named as the parts are: `#live` shows the element `live-view`
 * @param {Record<string, () => void>} onShow what to do when a part is shown, by its name
 */
export function followAddress(nav, onShow) {
  const links = [...nav.querySelectorAll("a")];
  const show = () => {
    const current = links.find((link) => link.hash === location.hash) ?? links[0];
    for (const link of links) {
      document.getElementById(`${link.hash.slice(1)}-view`).hidden = link !== current;
      if (link === current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    onShow[current.hash.slice(1)]?.();
  };
  window.addEventListener("hashchange", show);
  show();
}
