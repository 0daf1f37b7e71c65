/* The recording goes to the page's own server, and comes back wide: for machines that are stronger
   than the browser. */

import { FileError, readAudio } from "./files.js";

const token = new URLSearchParams(location.search).get("token");

/** Where a path of the server is; with the token that the page was opened with. */
export function addressOf(path, parameters = {}) {
  const address = new URL(path, import.meta.url);
  for (const [name, value] of Object.entries(parameters)) address.searchParams.set(name, value);
  if (token) address.searchParams.set("token", token);
  return address;
}

/** The file as the server widens it: `{ channels, sampleRate, model, seconds, added }`.

    `progress` is told the part that is done. Once `signal` says so, the server stops too. Throws
    FileError with what the server says. */
export async function enhanceAway(file, { model, detail, progress, signal }) {
  const begun = performance.now();
  const parameters = { wait: false, format: "wav", filename: file.name, model, detail };
  const job = await asked("v1/enhance", { method: "POST", body: file, signal }, parameters, [202]);
  const forget = () => fetch(addressOf(`v1/jobs/${job.id}`), { method: "DELETE" }).catch(() => {});
  try {
    const { result } = await ended(job.id, progress, signal);
    const response = await fetch(addressOf(`v1/jobs/${job.id}/audio`), { signal });
    const seconds = (performance.now() - begun) / 1000;
    const audio = await readAudio(new File([await response.blob()], "wide.wav"));
    return { ...audio, model: result.model, seconds, added: result.added };
  } finally {
    forget();
  }
}

async function asked(path, settings, parameters, expected) {
  const headers = { "content-type": "application/octet-stream" };
  const response = await fetch(addressOf(path, parameters), { headers, ...settings });
  const answer = await response.json();
  if (expected.includes(response.status)) return answer;
  throw new FileError(`the server says: ${answer.error}`);
}

function ended(id, progress, signal) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(addressOf(`v1/jobs/${id}/events`));
    const over = (settle, value) => {
      events.close();
      settle(value);
    };
    events.addEventListener("progress", ({ data }) => progress(JSON.parse(data).progress));
    events.addEventListener("done", ({ data }) => over(resolve, JSON.parse(data)));
    events.addEventListener("failed", ({ data }) =>
      over(reject, new FileError(`the server says: ${JSON.parse(data).error}`)),
    );
    events.onerror = () => over(reject, new FileError("the server cannot be reached any more"));
    signal.addEventListener("abort", () => over(reject, new FileError("cancelled")));
  });
}
