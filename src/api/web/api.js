/** The service's HTTP interface, as far as this page uses it. */

const ROOT = new URL("../api/v1/", import.meta.url);
const POLL_MS = 250;
const PATIENCE_MS = 10_000; // how long the server may be unreachable while a job runs

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
  let response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Problem({
    title: `The server answered ${response.status}`,
    detail: "It gave no reason.",
    retryable: response.status >= 500,
    ...body,
  });
}

export async function fetchLanguages() {
  return (await call(new URL("languages", ROOT))).json();
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
  const response = await call(new URL("voice/translate", ROOT), {
    method: "POST",
    headers: { "Content-Type": "application/json", Prefer: "respond-async" },
    body: JSON.stringify(request),
    signal,
  });
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

/** Stop a job and delete what it stored. */
export async function cancelJob(address) {
  await call(address, { method: "DELETE" });
}
