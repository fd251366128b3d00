// The browser leg: small files go to Partway together, in requests of our own (together.js). Uppy and its tus plugin send all
// others, and small files for which that is not possible. The server decides what is resumed where, so
// tus-js-client's own storage of uploads is not used.

import { isCovered } from "./fingerprint.js";
import { bytesLater, reactionTo, smallerRequests, withOverride } from "./request-errors.js";
import { RequestError, csrfToken, noteResponse } from "./server.js";
import { Together } from "./together.js";
import { Ways } from "./ways.js";

const { Uppy, Tus } = globalThis.Uppy;

const OVERRIDE = "X-HTTP-Method-Override";
const FILES_AT_A_TIME = 5;
// Uppy goes through all its files on each event, so it gets only those that are sent now and those that are next.
const FILES_IN_UPPY = 10;
const FILES_READY = 64; // For two requests with as many files as they may have.
const MAX_DELAY = 10_000;
const MOST_RETRIES = 20_000; // They take more than two days.

const NO_STORAGE = {
  findAllUploads: async () => [],
  findUploadsByFingerprint: async () => [],
  addUpload: async () => null,
  removeUpload: async () => {},
};
const SILENT = { debug() {}, warn() {}, error() {} };
// Refusals of a creation before its bytes are read. They often come in a row, for a folder that is sent once more.
const KEY_IS_TAKEN = new Set(["ObjectExists", "KeyBusy"]);
const never = () => new Promise(() => {});

// Pages that were refused at the same time do not come back at the same time.
const spread = () => 1 + 0.3 * Math.random();

// Doubled each time up to a limit, with jitter, so that pages do not overload a server that has come back.
function retryDelays() {
  const factor = spread();
  const delay = (_, number) => Math.round(factor * Math.min(MAX_DELAY, 500 * 2 ** Math.min(number, 10)));
  return Array.from({ length: MOST_RETRIES }, delay);
}

export class Sender {
  #waiting = new Set();
  #feeding = null;
  #files = new Map(); // Those in Uppy.
  #uppy;
  #on;
  #headersFor;
  #ways;
  #together;
  #isKeyTaken = false; // The last creation was refused because of its key.

  // `on` has a handler for each event of a file: started, created, resuming, progress, accepted, interrupted, received,
  // ended. The one of resuming may throw a RequestError: then nothing is sent.
  // `headersFor(file, start, end)` gives headers for the request that carries these bytes. `othersFollow()` tells whether
  // more files may be started soon; start() is called in any case when that has ended.
  constructor({ endpoint, together, on, headersFor, othersFollow }) {
    this.#on = on;
    this.#headersFor = headersFor;
    this.#ways = new Ways(endpoint);
    this.#together = new Together({
      url: together,
      ways: this.#ways,
      on: { ...on, created: (...facts) => this.#onCreatedTogether(...facts), refused: (error) => this.#noteCreation(error) },
      alone: (file) => this.#sendAlone(file),
      isDoubtful: (file) => this.#isDoubtful(file),
      othersFollow,
      goOn: () => this.#feedSoon(),
    });
    this.#uppy = new Uppy({
      id: "partway",
      logger: SILENT,
      onBeforeFileAdded: (added) => ({ ...added, id: added.source, tus: this.#optionsOf(this.#files.get(added.source)) }),
    });
    this.#uppy.use(Tus, {
      endpoint: new URL(endpoint, location.href).href,
      limit: FILES_AT_A_TIME,
      retryDelays: retryDelays(),
      headers: { Accept: "application/json" },
      storeFingerprintForResuming: false,
      urlStorage: NO_STORAGE,
    });
    this.#uppy.on("upload-progress", (added, { bytesUploaded }) => this.#tell("progress", added, bytesUploaded));
    this.#uppy.on("upload-success", (added) => this.#end("received", added));
    this.#uppy.on("upload-error", (added, error) => this.#end("ended", added, this.#ending(added, error)));
  }

  // What this tab has learned about proxies.
  get ways() {
    return this.#ways;
  }

  // Send files, one after another. A file that is resumed has its URL in `settings.tusUrl`.
  start(files) {
    for (const file of files) {
      if (this.#together.takes(file)) this.#together.add(file);
      else this.#waiting.add(file);
    }
    this.#feedSoon();
  }

  #sendAlone(file) {
    this.#waiting.add(file);
    this.#feedSoon();
  }

  // After all files that are paused or cancelled together.
  #feedSoon() {
    this.#feeding ||= Promise.resolve().then(() => this.#feed());
  }

  #feed() {
    this.#feeding = null;
    this.#together.feed();
    const moving = [...this.#files.values()].filter((file) => !file.isPausedHere).length;
    const next = this.#takeNext(FILES_IN_UPPY - moving);
    if (!next.length) return;
    this.#uppy.addFiles(
      next.map(({ id, file, settings }) => ({ source: id, name: file.name, data: file, meta: settings.metadata })),
    );
    this.#uppy.upload().catch(() => {}); // Each file reports its own end.
  }

  // Without a copy of all that wait: they may be thousands, and this runs after each file.
  #takeNext(count) {
    const next = [];
    const add = (file) => {
      this.#waiting.delete(file);
      this.#files.set(file.id, file);
      file.isPausedHere = false;
      next.push(file);
    };
    for (const file of this.#waiting) {
      if (next.length >= count) break;
      add(file);
    }
    for (const file of this.#together.takeDoubtful(count - next.length)) add(file);
    return next;
  }

  // Whether it has nothing more to send soon.
  get isHungry() {
    return this.#waiting.size < FILES_IN_UPPY && this.#together.count < FILES_READY;
  }

  // Whether it can be resumed; otherwise it is started.
  has(file) {
    return this.#files.has(file.id) || this.#together.isSending(file);
  }

  pause(file) {
    this.#waiting.delete(file);
    this.#together.pause(file);
    if (!this.#files.has(file.id) || file.isPausedHere) return;
    file.run += 1;
    file.isPausedHere = true;
    file.isCreating = false; // The request is aborted: no response follows.
    this.#uppy.pauseResume(file.id);
    this.#feedSoon();
  }

  resume(file) {
    if (this.#together.isSending(file)) this.#together.resume(file);
    if (!this.#files.has(file.id) || !file.isPausedHere) return;
    file.isPausedHere = false;
    this.#uppy.pauseResume(file.id);
  }

  // Stop sending it. The server is not informed: that is a separate request.
  forget(file) {
    this.#waiting.delete(file);
    this.#together.forget(file);
    if (!this.#files.has(file.id)) return;
    file.run += 1;
    this.#files.delete(file.id);
    this.#uppy.removeFile(file.id);
    this.#feedSoon();
  }

  // Retry now instead of after the delay.
  hurry(file) {
    this.#together.hurry(file);
    if (!this.#files.has(file.id) || file.isPausedHere) return;
    file.run += 1;
    file.notBefore = 0;
    this.#uppy.pauseResume(file.id);
    this.#uppy.pauseResume(file.id);
  }

  #optionsOf(file) {
    file.failures = 0;
    const chunkSize = this.#ways.firstSize;
    return {
      uploadUrl: file.settings.tusUrl || null,
      chunkSize,
      uploadDataDuringCreation: this.#isOneRequest(file, chunkSize),
      overridePatchMethod: this.#ways.overridden.has("PATCH"),
      allowedMetaFields: Object.keys(file.settings.metadata),
      onBeforeRequest: (request) => this.#beforeRequest(file, request),
      onAfterResponse: (request, response) => this.#afterResponse(file, request, response),
      onShouldRetry: (error) => this.#shouldRetry(file, error),
    };
  }

  // Whether the file is sent with its creation. A repeated creation finds the transfer of the first one by its fingerprint,
  // so that has to cover all bytes: then what the server has received is known to be of this file.
  #isOneRequest(file, chunkSize) {
    const fits = 0 < file.size && file.size <= chunkSize && isCovered(file.file) && this.#ways.takesWithCreation(file.size);
    return fits && !file.isCreatedEmpty && !this.#isDoubtful(file);
  }

  #isDoubtful(file) {
    return this.#isKeyTaken && file.settings.metadata.replace !== "on";
  }

  // `error` is null if it was accepted.
  #noteCreation(error) {
    this.#isKeyTaken = KEY_IS_TAKEN.has(error?.code);
  }

  #onCreatedTogether(file, location) {
    this.#noteCreation(null);
    this.#on.created(file, location);
  }

  async #beforeRequest(file, request) {
    const method = methodOf(request);
    // Uppy would delete the upload of a file that is removed from it.
    if (method === "DELETE") return never();
    await waitAsAsked(file);
    const isReopened = method === "HEAD" && this.#ways.overridden.has(method);
    if (isReopened) sendAsPost(request);
    file.sentAs = isReopened ? "POST" : request.getMethod();
    request.setHeader("X-CSRFToken", csrfToken());
    file.isCreating = method === "POST";
    this.#on.started(file);
    file.requestSize = 0;
    if (hasBytes(request)) await this.#addHeaders(file, request);
    if (file.isCreating) file.mayExist = true;
    return undefined;
  }

  async #addHeaders(file, request) {
    const { run } = file;
    const start = Number(request.getHeader("Upload-Offset") || 0);
    const end = Math.min(start + this.#tusOptions(file).chunkSize, file.size);
    file.requestSize = end - start;
    const headers = await this.#headersFor(file, start, end);
    // If it was paused or cancelled in the meantime, tus-js-client would send it nevertheless.
    if (run !== file.run) await never();
    for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
  }

  async #afterResponse(file, request, response) {
    const method = methodOf(request);
    const error = errorIn(request, response);
    noteResponse(error);
    if (method === "POST") {
      file.isCreating = false;
      this.#noteCreation(error);
    }
    // tus-js-client would create another transfer after a failed HEAD, and takes any response with 2xx for a success.
    if (error) throw error;
    if (method === "POST") await this.#onCreated(file, request, response);
    if (method === "PATCH") this.#onAccepted(file, request, response);
    if (method === "HEAD") await this.#resume(file, offsetIn(response));
  }

  async #onCreated(file, request, response) {
    const { run } = file;
    file.mayExist = false;
    file.failures = 0;
    this.#on.created(file, response.getHeader("Location"));
    // It was to be cancelled: tus-js-client would report a success of a file that is not in Uppy any more.
    if (run !== file.run) await never();
    if (!hasBytes(request)) return;
    if (response.getHeader("Upload-Offset") === null) throw headerRemoved("POST", response.getStatus(), "Upload-Offset");
    this.#ways.workWithCreation();
    // The server keeps nothing if it is busy, and says so when the bytes are sent again.
    if (offsetIn(response)) this.#onAccepted(file, request, response);
  }

  // Paused, cancelled or hurried in the meantime: the response is aborted, hence without a status, and tus-js-client would
  // create another transfer.
  async #resume(file, offset) {
    const { run } = file;
    try {
      await this.#on.resuming(file, offset);
    } catch (error) {
      if (run === file.run) throw error;
    }
    if (run !== file.run) await never();
  }

  #onAccepted(file, request, response) {
    const options = this.#tusOptions(file);
    file.failures = 0;
    file.proven = Math.max(file.proven, offsetIn(response));
    this.#ways.work(request.getMethod());
    options.chunkSize = this.#ways.sizeAfter(options.chunkSize);
    this.#on.accepted(file);
  }

  #shouldRetry(file, error) {
    file.isCreating = false;
    const requestError = requestErrorOf(error);
    if (!requestError) return false;
    const reaction = this.#adapt(file, requestError) || reactionTo(requestError);
    if (!reaction.retries) return false;
    file.notBefore = performance.now() + spread() * 1000 * requestError.retryAfter;
    const options = this.#tusOptions(file);
    options.chunkSize = this.#ways.smallSize;
    options.uploadDataDuringCreation = this.#isOneRequest(file, options.chunkSize);
    options.overridePatchMethod = this.#ways.overridden.has("PATCH");
    this.#on.interrupted(file, reaction);
    return this.has(file); // It may have been cancelled.
  }

  // The reaction to a failure that a proxy has caused, if the request can be sent in another way; null otherwise.
  #adapt(file, error) {
    if (error.status && !error.proxy) return null;
    if (error.method === "POST" && file.requestSize) return this.#adaptCreation(file, error);
    if (error.status === 413 && error.method === "PATCH")
      return this.#ways.refuse(file.requestSize) ? smallerRequests() : null;
    file.failures = error.method === "PATCH" ? file.failures + 1 : 0;
    return this.#ways.fail(error, file.sentAs, file.failures) ? withOverride() : null;
  }

  #adaptCreation(file, error) {
    file.failures += 1;
    if (!this.#ways.failWithCreation(error, file.requestSize, file.failures)) return null;
    file.failures = 0;
    file.isCreatedEmpty = true;
    const reaction = reactionTo(error);
    return reaction.retries ? reaction : bytesLater(error);
  }

  // The options of the current upload. tus-js-client reads them before each request.
  #tusOptions(file) {
    return this.#uppy.getPlugin("Tus").uploaders[file.id]?.options || {};
  }

  #tell(event, added, ...facts) {
    const file = added && this.#files.get(added.id);
    if (file) this.#on[event](file, ...facts);
  }

  // Remove the file from Uppy, but after Uppy's own event, which still needs the file.
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
    const requestError = requestErrorOf(error);
    if (requestError) return { reaction: reactionTo(requestError), error: requestError };
    const other = new RequestError({ message: error.causingError?.message || error.message });
    return { reaction: { kind: "failed", message: other.message }, error: other };
  }
}

// Until the time of Retry-After. tus-js-client repeats the request after delays of its own, which may be shorter.
async function waitAsAsked(file) {
  const { run } = file;
  const left = (file.notBefore || 0) - performance.now();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
  // It was paused, cancelled or resumed in the meantime.
  if (run !== file.run) await never();
}

// The method of tus, which may be sent as POST.
const methodOf = (request) => request.getHeader(OVERRIDE) || request.getMethod();

// tus-js-client sets the type of the bytes, with PATCH and with a creation.
const hasBytes = (request) => Boolean(request.getHeader("Content-Type"));

// tus-js-client has an option for PATCH only. Opening the request again removes its headers.
function sendAsPost(request) {
  const method = request.getMethod();
  request.getUnderlyingObject().open("POST", request.getURL());
  for (const name of ["Tus-Resumable", "Accept"]) request.setHeader(name, request.getHeader(name));
  request.setHeader(OVERRIDE, method);
}

const offsetIn = (response) => Number(response.getHeader("Upload-Offset"));

// What a success must have. A proxy's page has none of it.
const PROOF = { POST: "Location", PATCH: "Upload-Offset", HEAD: "Upload-Offset" };

// Why a response is not a success; null if it is one.
function errorIn(request, response) {
  const [method, status] = [methodOf(request), response.getStatus()];
  const header = (name) => response.getHeader(name);
  if (status < 300 && header(PROOF[method]) !== null) return null;
  const isRedirect = new URL(request.getURL(), location.href).href !== response.getUnderlyingObject().responseURL;
  const error = RequestError.from({ status, header, text: response.getBody(), method, isRedirect });
  if (status >= 300 || error.proxy) return error;
  return headerRemoved(method, status, PROOF[method]);
}

const headerRemoved = (method, status, name) =>
  new RequestError({ status, method, code: "HeaderRemoved", message: name });

// Why a request failed, as a RequestError; null if the cause was not a request.
function requestErrorOf(error) {
  const cause = error.causingError || error.cause;
  if (cause instanceof RequestError) return cause;
  if (cause instanceof Error && !error.originalResponse) return null;
  return error.originalRequest ? new RequestError({ method: methodOf(error.originalRequest) }) : null;
}
