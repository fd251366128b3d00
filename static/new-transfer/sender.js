// The browser leg, by Uppy and its tus plugin: how files get from here to the server. The server alone knows what goes
// on where, so nothing of tus-js-client's own memory is used.

import { judge } from "./request-errors.js";
import { Refusal, csrfToken, noteAnswer } from "./server.js";

const { Uppy, Tus } = globalThis.Uppy;

export const CHUNK = 64 * 1024 * 1024;
// What is sent after a refusal, to see whether it still stands: a browser sends all of a body that is not wanted.
const PROBE = 256 * 1024;
const FILES_AT_A_TIME = 5;
// Uppy looks at all it holds with each event: it holds those that are sent, and those that come next.
const FILES_IN_UPPY = 10;
const MAX_DELAY = 10_000;
const TRIES_WITHOUT_A_BYTE = 20_000; // More than two days of them.

const NO_MEMORY = {
  findAllUploads: async () => [],
  findUploadsByFingerprint: async () => [],
  addUpload: async () => null,
  removeUpload: async () => {},
};
export const SILENT = { debug() {}, warn() {}, error() {} };
const never = () => new Promise(() => {});

// Doubled each time up to a limit, and a little different in every page: a server that was away is not stormed.
function retryDelays() {
  const spread = 0.85 + 0.3 * Math.random();
  const delay = (_, number) => Math.round(spread * Math.min(MAX_DELAY, 500 * 2 ** Math.min(number, 10)));
  return Array.from({ length: TRIES_WITHOUT_A_BYTE }, delay);
}

export class Sender {
  #waiting = new Set();
  #feeding = null;
  #files = new Map(); // Those in Uppy.
  #uppy;
  #on;
  #headersFor;

  // `on` takes what happens to a file: started, created, progress, accepted, held, received, ended.
  // `headersFor(file, start, end)` gives headers for the request that carries these bytes.
  constructor({ endpoint, on, headersFor }) {
    this.#on = on;
    this.#headersFor = headersFor;
    this.#uppy = new Uppy({
      id: "partway",
      logger: SILENT,
      onBeforeFileAdded: (added) => ({ ...added, id: added.source, tus: this.#optionsOf(this.#files.get(added.source)) }),
    });
    this.#uppy.use(Tus, {
      endpoint: new URL(endpoint, location.href).href,
      chunkSize: CHUNK,
      limit: FILES_AT_A_TIME,
      retryDelays: retryDelays(),
      headers: { Accept: "application/json" },
      storeFingerprintForResuming: false,
      urlStorage: NO_MEMORY,
    });
    this.#uppy.on("upload-progress", (added, { bytesUploaded }) => this.#tell("progress", added, bytesUploaded));
    this.#uppy.on("upload-success", (added) => this.#end("received", added));
    this.#uppy.on("upload-error", (added, error) => this.#end("ended", added, this.#ending(added, error)));
  }

  // Send files, one after another; `order.tusUrl` of one that goes on says where.
  start(files) {
    for (const file of files) this.#waiting.add(file);
    this.#feedSoon();
  }

  // Once all that is paused or cancelled together is.
  #feedSoon() {
    this.#feeding ||= Promise.resolve().then(() => this.#feed());
  }

  #feed() {
    this.#feeding = null;
    const moving = [...this.#files.values()].filter((file) => !file.isPausedHere).length;
    const next = [...this.#waiting].slice(0, Math.max(0, FILES_IN_UPPY - moving));
    if (!next.length) return;
    for (const file of next) {
      this.#waiting.delete(file);
      this.#files.set(file.id, file);
      file.isPausedHere = false;
    }
    this.#uppy.addFiles(
      next.map(({ id, file, order }) => ({ source: id, name: file.name, data: file, meta: order.metadata })),
    );
    this.#uppy.upload().catch(() => {}); // Each file tells its own end.
  }

  // Whether it can be resumed; else it is started.
  has(file) {
    return this.#files.has(file.id);
  }

  pause(file) {
    this.#waiting.delete(file);
    if (!this.has(file) || file.isPausedHere) return;
    file.run += 1;
    file.isPausedHere = true;
    this.#uppy.pauseResume(file.id);
    this.#feedSoon();
  }

  resume(file) {
    if (!this.has(file) || !file.isPausedHere) return;
    file.isPausedHere = false;
    this.#uppy.pauseResume(file.id);
  }

  // Send no more of it. The server is not told: that is an order of its own.
  forget(file) {
    this.#waiting.delete(file);
    if (!this.has(file)) return;
    file.run += 1;
    this.#files.delete(file.id);
    this.#uppy.removeFile(file.id);
    this.#feedSoon();
  }

  // Try now what waits for its next try.
  hurry(file) {
    if (!this.has(file) || file.isPausedHere) return;
    file.run += 1;
    this.#uppy.pauseResume(file.id);
    this.#uppy.pauseResume(file.id);
  }

  #optionsOf(file) {
    return {
      uploadUrl: file.order.tusUrl || null,
      allowedMetaFields: Object.keys(file.order.metadata),
      onBeforeRequest: (request) => this.#beforeRequest(file, request),
      onAfterResponse: (request, response) => this.#afterResponse(file, request, response),
      onShouldRetry: (error) => this.#shouldRetry(file, error),
    };
  }

  async #beforeRequest(file, request) {
    const method = request.getMethod();
    // Uppy would delete what it is told to forget.
    if (method === "DELETE") return never();
    request.setHeader("X-CSRFToken", csrfToken());
    file.isCreating = method === "POST";
    this.#on.started(file);
    if (method === "PATCH") await this.#addHeaders(file, request);
    return undefined;
  }

  async #addHeaders(file, request) {
    const { run } = file;
    const start = Number(request.getHeader("Upload-Offset"));
    const { chunkSize } = this.#tusOptions(file);
    const headers = await this.#headersFor(file, start, Math.min(start + chunkSize, file.size));
    // Paused or cancelled while this was waited for: tus-js-client would send it nevertheless.
    if (run !== file.run) await never();
    for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
  }

  #afterResponse(file, request, response) {
    const [method, status] = [request.getMethod(), response.getStatus()];
    noteAnswer(status);
    if (method === "POST") file.isCreating = false;
    if (method === "POST" && status === 201) this.#on.created(file, response.getHeader("Location"));
    if (method === "PATCH" && status === 204) {
      this.#tusOptions(file).chunkSize = CHUNK;
      this.#on.accepted(file);
    }
    // A HEAD that is refused must not lead to another transfer, as tus-js-client would have it.
    if (method === "HEAD" && status >= 300) throw Refusal.from(status, "", method);
  }

  #shouldRetry(file, error) {
    file.isCreating = false;
    const refusal = refusalOf(error);
    if (!refusal) return false;
    const verdict = judge(refusal);
    if (!verdict.again) return false;
    this.#tusOptions(file).chunkSize = PROBE;
    this.#on.held(file, verdict, refusal);
    return true;
  }

  // Of the upload under way: tus-js-client looks at them before each request.
  #tusOptions(file) {
    return this.#uppy.getPlugin("Tus").uploaders[file.id]?.options || {};
  }

  #tell(event, added, ...facts) {
    const file = added && this.#files.get(added.id);
    if (file) this.#on[event](file, ...facts);
  }

  // Out of Uppy, but not within its own event: it is not done with the file there.
  #end(event, added, ...facts) {
    const file = added && this.#files.get(added.id);
    if (!file) return;
    this.#files.delete(file.id);
    queueMicrotask(() => {
      this.#uppy.removeFile(file.id);
      this.#feedSoon();
    });
    this.#on[event](file, ...facts);
  }

  #ending(added, error) {
    const refusal = refusalOf(error) || new Refusal({ message: error.causingError?.message || error.message });
    return { verdict: refusalOf(error) ? judge(refusal) : { kind: "failed", words: refusal.message }, refusal };
  }
}

// Why a request failed, as a Refusal; null where that was not the request's fault.
function refusalOf(error) {
  const cause = error.causingError || error.cause;
  if (cause instanceof Refusal) return cause;
  if (cause instanceof Error && !error.originalResponse) return null;
  const method = error.originalRequest?.getMethod() || "";
  const response = error.originalResponse;
  if (!response) return error.originalRequest ? new Refusal({ method }) : null;
  return Refusal.from(response.getStatus(), response.getBody(), method);
}
