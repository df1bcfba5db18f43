/** A session of live translation: the WebSocket of OpenAI's protocol, as services/live/README.md has it. */

import { Unreachable, liveSecret } from "./api.js";
import { RATE } from "./pcm.js";

const ADDRESS = new URL("../v1/realtime/translations", import.meta.url);
const OPEN_MS = 15_000; // in which a session begins
const DRAIN_MS = 120_000; // without any event, after `finish`
const PIECE = RATE / 10; // samples of a message
const MOST_UNSENT = 10 * RATE * 2; // bytes: what the service takes at once

export class LiveSession {
  /**
   * @param {{heard: (text: string) => void, said: (event: object) => void, sound: (event: object) => void,
   *   trouble: (error: {code: string, message: string}) => void, closed: (reason: string) => void}} events
   *   closed: the last, with the service's reason, `too_slow` where the network does not carry the sound, or `broken`
   */
  constructor(events) {
    this.events = events;
    this.ended = false;
    this.waiting = [];
    this.filled = 0; // samples in `waiting`
  }

  /**
   * @param {{language: string, source: string | null, voice: string}} wanted
   * Throws Problem, Unreachable.
   */
  async open({ language, source, voice }) {
    const audio = { input: { transcription: { language: source } }, output: { language, voice } };
    const secret = await liveSecret({ audio });
    const address = new URL(ADDRESS);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address, ["realtime", `openai-insecure-api-key.${secret}`]);
    try {
      await this.#begun();
    } catch (error) {
      this.socket.close();
      throw error;
    }
    this.socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    this.socket.onclose = () => this.#end("broken");
  }

  #begun() {
    return new Promise((resolve, reject) => {
      const fail = () => reject(new Unreachable("The live session did not begin."));
      const timer = setTimeout(fail, OPEN_MS);
      this.socket.onclose = () => (clearTimeout(timer), fail());
      this.socket.onmessage = () => (clearTimeout(timer), resolve()); // session.created is the first
    });
  }

  /** @param {Int16Array} pcm */
  send(pcm) {
    this.waiting.push(pcm);
    this.filled += pcm.length;
    if (this.filled < PIECE) return;
    this.#flush();
    if (this.socket.bufferedAmount > MOST_UNSENT) this.leave("too_slow");
  }

  #flush() {
    if (this.ended || !this.filled) return;
    this.socket.send(new Blob(this.waiting));
    this.waiting = [];
    this.filled = 0;
  }

  /** Nothing follows: all that was said is still told, then `closed`. */
  finish() {
    if (this.ended) return;
    this.#flush();
    this.socket.send(JSON.stringify({ type: "session.close" }));
    this.finishing = true;
    this.#patience();
  }

  /** At once: what is still in work is dropped. */
  leave(reason) {
    this.socket.close();
    this.#end(reason);
  }

  #patience() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.leave("broken"), DRAIN_MS);
  }

  #take(event) {
    if (this.ended) return;
    if (this.finishing) this.#patience();
    if (event.type === "session.input_transcript.delta") this.events.heard(event.delta);
    else if (event.type === "session.output_transcript.delta") this.events.said(event);
    else if (event.type === "session.output_audio.delta") this.events.sound(event);
    else if (event.type === "error") this.events.trouble(event.error);
    else if (event.type === "session.closed") this.#end(event.reason);
  }

  #end(reason) {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.timer);
    this.events.closed(reason);
  }
}
