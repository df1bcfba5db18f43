/** The page: its parts, and what all of them need. */

import { fetchLanguages } from "./api.js";
import { History } from "./history.js";
import { LivePart } from "./live.js";
import { loadMessage } from "./message.js";
import { complain } from "./notices.js";
import { followAddress } from "./views.js";
import { Voices } from "./voices.js";

const $ = (id) => document.getElementById(id);

const live = new LivePart();
const history = new History();
const voices = new Voices();

async function loadLanguages() {
  try {
    const offer = await fetchLanguages();
    for (const part of [live, history, voices]) part.load(offer);
    loadMessage(offer);
  } catch (error) {
    for (const part of ["source", "live"]) complain($(`${part}-notice`), error, loadLanguages);
  }
}

followAddress($("parts"), { live: () => live.shown(), history: () => history.shown(), voices: () => voices.shown() });
loadLanguages();
