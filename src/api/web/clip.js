/** A recording on its way to the service: its bytes, the ending of its name, and its samples as far as this browser can read them. */

import { encodeWav } from "./wav.js";

export const MIN_SECONDS = 1;
export const MAX_SECONDS = 300;
const MAX_BYTES = 50_000_000;

/** Hz. The service works at 22 050 Hz, so more would only make the upload longer. */
const SAMPLE_RATE = 24_000;

const WAV = { format: "wav", type: "audio/wav" };

export class ClipProblem extends Error {
  constructor(title, detail) {
    super(title);
    this.title = title;
    this.detail = detail;
  }
}

/**
 * @param {ArrayBuffer} bytes a whole audio file
 * @returns {Promise<AudioBuffer | null>} null when this browser cannot read it (ALAC, for one): the service may all the same
 */
export async function decode(bytes) {
  try {
    return await new OfflineAudioContext(1, 1, SAMPLE_RATE).decodeAudioData(bytes.slice(0));
  } catch {
    return null;
  }
}

function checkDuration(seconds) {
  if (seconds < MIN_SECONDS) {
    throw new ClipProblem("That is too short", `It lasts ${seconds.toFixed(1)} s. A message needs at least ${MIN_SECONDS} second.`);
  }
  if (seconds > MAX_SECONDS) {
    throw new ClipProblem("That is too long", `It lasts ${Math.ceil(seconds)} s. A message may last ${MAX_SECONDS} s, which is five minutes.`);
  }
}

/**
 * A WAV clip from the microphone's samples. Throws ClipProblem.
 * The browser's decoder resamples it: unlike a buffer source node, it filters what would alias.
 */
export async function clipFromRecording({ samples, sampleRate }) {
  checkDuration(samples.length / sampleRate);
  const buffer = await decode(encodeWav(samples, sampleRate));
  const bytes = encodeWav(buffer.getChannelData(0).subarray(0, MAX_SECONDS * SAMPLE_RATE), SAMPLE_RATE);
  return { name: "Recorded now", format: WAV.format, blob: new Blob([bytes], { type: WAV.type }), buffer };
}

/** A clip from a file that the person chose. Throws ClipProblem. */
export async function clipFromFile(file) {
  if (file.size > MAX_BYTES) {
    throw new ClipProblem("The file is too large", `It has ${Math.ceil(file.size / 1e6)} MB and the limit is 50 MB. An MP3 or M4A of the same recording is smaller.`);
  }
  const buffer = await decode(await file.arrayBuffer());
  if (buffer) checkDuration(buffer.duration);
  return { name: file.name, format: file.name.split(".").pop(), blob: file.slice(), buffer }; // without a type, which may be wrong: players look
}

/** @returns {Promise<string>} */
export function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** The spoken answer: WAV in base64. */
export async function clipFromAnswer(base64) {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  return { format: WAV.format, blob: new Blob([bytes], { type: WAV.type }), buffer: await decode(bytes.buffer) };
}
