/** The service's HTTP interface, as far as this page uses it. */

const ROOT = new URL("../api/v1/", import.meta.url);
const REALTIME = new URL("../v1/realtime/translations/", import.meta.url);
const POLL_MS = 250;
const PATIENCE_MS = 10_000; // how long the server may be unreachable while a job runs
const TOKEN = "access-token";

/** Send this token with every request of this tab, until it is closed. */
export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);

/** An answer that is not a success: the fields of its problem+json. */
export class Problem extends Error {
  constructor({ title, detail, code, retryable, request_id: requestId }) {
    super(detail);
    Object.assign(this, { title, detail, code, retryable, requestId });
  }
}

export class Unreachable extends Error {
  name = "Unreachable";
}

async function call(url, init = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...init.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  let response;
  try {
    response = await fetch(url, { ...init, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
  if (response.ok) return response;
  const { error, ...body } = await response.json().catch(() => ({}));
  throw new Problem({
    title: `The server answered ${response.status}`,
    detail: "It gave no reason.",
    retryable: response.status >= 500,
    ...(error && { detail: error.message, code: error.code }), // OpenAI's form, which the paths of its clients have
    ...body,
  });
}

export async function fetchLanguages() {
  return (await call(new URL("languages", ROOT))).json();
}

function post(url, body, init = {}) {
  return call(url, { ...init, method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...init.headers } });
}

async function sleep(ms, signal) {
  await new Promise((resolve) => setTimeout(resolve, ms));
  signal.throwIfAborted();
}

/** Only the path: behind a gateway the job's address may name a host that this page may not call. */
function jobAddress(response, job) {
  const location = response.headers.get("Location");
  return location ? new URL(location, response.url).pathname : new URL(`voice/job/${job.job_id}`, ROOT).pathname;
}

/**
 * Start a translation.
 * @returns {Promise<{job: object, address: string}>} `address`: where the job is read and cancelled
 */
export async function startTranslation(request, signal) {
  const response = await post(new URL("voice/translate", ROOT), request, { headers: { Prefer: "respond-async" }, signal });
  const job = await response.json();
  return { job, address: jobAddress(response, job) };
}

/** Read the job, forgiving a server that is away for a moment. */
async function readJob(address, signal) {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await (await call(address, { signal })).json();
    } catch (error) {
      if (!(error instanceof Unreachable) || Date.now() > giveUpAt) throw error;
      await sleep(POLL_MS * 2, signal);
    }
  }
}

/** Follow a job until it has ended. Throws the Problem of a job that failed. */
export async function followJob({ job, address }, onProgress, signal) {
  while (job.status === "pending" || job.status === "processing") {
    onProgress(job);
    await sleep(POLL_MS, signal);
    job = await readJob(address, signal);
  }
  if (job.status === "failed") {
    throw new Problem({ title: "The translation failed", detail: "The server gave no reason.", retryable: true, ...job.error });
  }
  return job;
}

/** Stop a job and delete what it stored. @param {string | URL} address */
export async function deleteJob(address) {
  await call(address, { method: "DELETE" });
}

export const addressOf = (jobId) => new URL(`voice/job/${jobId}`, ROOT);

export async function fetchJob(jobId) {
  return (await call(addressOf(jobId))).json();
}

/** @returns {Promise<{jobs: object[], next_cursor: string | null}>} newest first */
export async function fetchJobs(cursor) {
  const query = new URLSearchParams({ limit: "10", ...(cursor && { cursor }) });
  return (await call(new URL(`voice/jobs?${query}`, ROOT))).json();
}

/** @returns {Promise<object[]>} newest first */
export async function fetchProfiles() {
  return (await (await call(new URL("voice/profiles", ROOT))).json()).profiles;
}

export async function saveProfile(profile) {
  return (await post(new URL("voice/profile", ROOT), profile)).json();
}

export async function renameProfile(id, name) {
  const headers = { "Content-Type": "application/json" };
  return (await call(new URL(`voice/profile/${id}`, ROOT), { method: "PATCH", body: JSON.stringify({ name }), headers })).json();
}

export async function deleteProfile(id) {
  await call(new URL(`voice/profile/${id}`, ROOT), { method: "DELETE" });
}

/** A text in a stored voice, as WAV in base64. */
export async function speak(text, language, profileId) {
  const request = { text, target_language: language, voice_profile_id: profileId, return_audio_url: false };
  const response = await post(new URL("voice/clone", ROOT), request);
  const answer = await response.json();
  if (response.status !== 202) return answer.audio_base64;
  const job = { job: answer, address: jobAddress(response, answer) };
  return (await followJob(job, () => {}, new AbortController().signal)).audio_base64;
}

/** A token that opens one live session, which begins as `session` says. */
export async function liveSecret(session) {
  return (await (await post(new URL("client_secrets", REALTIME), { session })).json()).value;
}
