/** What a person at this page can do about an error, for the codes where the server's detail speaks to programmers. */

const ADVICE = {
  no_speech_detected: "Record again nearer to the microphone, or choose a file in which someone speaks.",
  speech_not_understood: "Record again nearer to the microphone, and check the language that you chose.",
  audio_too_short: "Record a longer message.",
  audio_too_long: "Cut it into shorter messages.",
  audio_too_large: "An MP3 or M4A of the same recording is smaller.",
  audio_undecodable: "The file seems to be damaged. Choose another one, or record the message here.",
  unsupported_audio_format: "Export it as WAV, MP3 or M4A and choose it again.",
  reference_too_short: "Record a message with a few seconds of speech, so that the voice can be learned.",
  unsupported_language: "Pick another language.",
  unauthenticated: "Whoever runs this server gives out tokens. This page keeps yours until its tab is closed.",
  overloaded: "Many messages are waiting. Try again in a moment.",
  rate_limited: "Wait a minute and try again.",
};

/** @returns {{title: string, detail: string, advice: string, retryable: boolean}} for any error that reaches the page */
export function explain(error) {
  if (error.name === "Unreachable") {
    return { title: "The server cannot be reached", detail: "", advice: "Check the connection and try again.", retryable: true };
  }
  if (!error.title) {
    return { title: "This page failed", detail: error.message, advice: "Reload it and try again.", retryable: true };
  }
  const known = ADVICE[error.code] ?? (error.retryable ? "Try again." : "");
  const advice = error.code === "internal_error" && error.requestId ? `Request id for who runs the server: ${error.requestId}` : known;
  const detail = error.detail?.includes("Authorization") ? "" : error.detail; // which speaks of the header
  return { title: error.title, detail, advice, retryable: Boolean(error.retryable) };
}
