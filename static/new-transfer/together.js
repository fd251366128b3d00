// Small files that are sent together: many in one request. Most of the time of a small file is what its own request takes,
// here and on the server (dashboard/transfers/tus/together.py). Each file gets a result of its own.

import { isOurs } from "../responses.js";
import { isCovered } from "./fingerprint.js";
import { bytesLater, reactionTo, smallerRequests } from "./request-errors.js";
import { RequestError, csrfToken, noteResponse } from "./server.js";

const REQUESTS_AT_A_TIME = 2;
const MIB = 1024 ** 2;
const FILES = { first: 4, least: 2, most: 32 };
// Two files fit into the first requests. If fewer fit on a slow line, they go alone.
const BYTES = { first: 2.5 * MIB, least: MIB / 4, most: 16 * MIB };
// Requests grow while they take less than `enough` seconds, and shrink if they take `long`: on a slow line, each ends soon. A
// server that is busy takes longer as well, and larger requests cost it less.
const SECONDS = { enough: 1, long: 4 };
const FIRST_DELAY = 500;
const MAX_DELAY = 10_000;

const spread = () => 1 + 0.3 * Math.random();

export class Together {
  #url;
  #ways;
  #on;
  #alone;
  #isDoubtful;
  #othersFollow;
  #goOn;
  #waiting = new Set();
  #sent = new Set(); // Files in requests that have no response yet.
  #requests = 0;
  #files = FILES.first;
  #bytes = BYTES.first;
  #failures = 0; // Of requests, in a row.
  #notBefore = 0;
  #timer = 0;

  // `on` has the handlers of the sender, `alone(file)` sends a file with requests of its own, and `isDoubtful(file)` tells
  // whether it is likely to be refused, so that its bytes are not worth sending yet. `othersFollow()` tells whether more
  // files may be added soon; feed() is called when that has ended. `goOn()` is called after each response: it calls feed(), and
  // sends what is now doubtful.
  constructor({ url, ways, on, alone, isDoubtful, othersFollow, goOn }) {
    this.#url = new URL(url, location.href).href;
    this.#ways = ways;
    this.#on = on;
    this.#alone = alone;
    this.#isDoubtful = isDoubtful;
    this.#othersFollow = othersFollow;
    this.#goOn = goOn;
  }

  // Whether it may be sent with others: its fingerprint covers all bytes, so that a repeated request finds its transfer, and
  // nothing has to follow its bytes or to be known about them before.
  takes(file) {
    const { metadata, tusUrl, isComputing } = file.settings;
    const isPlain = !tusUrl && !isComputing && !metadata.sha256 && !metadata.discard && !file.goesAlone;
    return isPlain && 0 < file.size && isCovered(file.file) && this.#ways.takesTogether(file.size);
  }

  add(file) {
    this.#waiting.add(file);
  }

  get count() {
    return this.#waiting.size;
  }

  isSending(file) {
    return this.#sent.has(file);
  }

  // The request goes on, as it has other files. The server is asked to pause the transfer when its id is known.
  pause(file) {
    this.#waiting.delete(file);
    if (this.#sent.has(file)) file.isPausedHere = true;
  }

  resume(file) {
    file.isPausedHere = false;
    this.#on.started(file);
  }

  forget(file) {
    this.#waiting.delete(file);
    this.#sent.delete(file);
  }

  // Repeat now what has failed.
  hurry(file) {
    if (!this.#waiting.has(file)) return;
    this.#notBefore = 0;
    this.feed();
  }

  // A few of the files whose bytes are not worth sending yet.
  takeDoubtful(count) {
    const files = [];
    for (const file of this.#waiting) {
      if (files.length >= count || !this.#isDoubtful(file)) break;
      this.#waiting.delete(file);
      files.push(file);
    }
    return files;
  }

  feed() {
    clearTimeout(this.#timer);
    const delay = this.#notBefore - performance.now();
    if (delay > 0) {
      this.#timer = setTimeout(() => this.feed(), delay);
      return;
    }
    while (this.#requests < REQUESTS_AT_A_TIME) {
      const files = this.#next();
      if (!files.length || (files.length === 1 && this.#waitsForOthers)) return;
      for (const file of files) this.#waiting.delete(file);
      if (files.length > 1) this.#send(files);
      else this.#alone(files[0]);
    }
  }

  // Whether a file is not sent alone yet. Others may follow soon, also while requests are under way.
  get #waitsForOthers() {
    return this.#requests > 0 || (this.#waiting.size === 1 && this.#othersFollow());
  }

  // The next files for one request; one if it is the last, or does not fit with another.
  #next() {
    const most = Math.min(this.#bytes, this.#ways.togetherSize);
    const files = [];
    let size = 0;
    for (const file of this.#waiting) {
      if (files.length >= this.#files || this.#isDoubtful(file)) break;
      size += file.size + encoded(file.settings.metadata).length;
      if (files.length && size > most) break;
      files.push(file);
    }
    return files;
  }

  async #send(files) {
    this.#requests += 1;
    for (const file of files) {
      this.#sent.add(file);
      Object.assign(file, { isCreating: true, mayExist: true, isPausedHere: false });
      this.#on.started(file);
    }
    const body = bodyOf(files);
    const failures = this.#failures;
    const start = performance.now();
    const { results, error } = await this.#post(body, files);
    noteResponse(error);
    this.#requests -= 1;
    if (results) this.#settleAll(files, results, (performance.now() - start) / 1000);
    else this.#fail(files, error, body.size, failures);
    this.#goOn();
  }

  #post(body, files) {
    const request = new XMLHttpRequest();
    request.open("POST", this.#url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-CSRFToken", csrfToken());
    const progress = progressOf(files, body.size);
    request.upload.addEventListener("progress", ({ loaded }) => {
      for (const [file, bytes] of progress(loaded)) if (this.#sent.has(file)) this.#on.progress(file, bytes);
    });
    return new Promise((resolve) => {
      request.addEventListener("load", () => resolve(outcomeOf(request, this.#url, files.length)));
      request.addEventListener("error", () => resolve({ error: new RequestError({ method: "POST" }) }));
      request.send(body);
    });
  }

  // --- Responses --------------------------------------------------------------------------------------------------------

  #settleAll(files, results, seconds) {
    this.#failures = 0;
    this.#ways.workTogether();
    const factor = seconds < SECONDS.enough ? 2 : seconds > SECONDS.long ? 0.5 : 1;
    this.#files = within(FILES, this.#files * factor);
    this.#bytes = within(BYTES, this.#bytes * factor);
    files.forEach((file, place) => this.#settle(file, results[place]));
  }

  #settle(file, result) {
    if (!this.#sent.has(file)) return;
    file.isCreating = false;
    if (result.status === 201) this.#onCreated(file, result);
    else this.#onRefused(file, errorOf(result));
  }

  #onCreated(file, { location, offset }) {
    file.mayExist = false;
    this.#on.created(file, location);
    // It was to be cancelled, which the handler has done.
    if (!this.#sent.delete(file)) return;
    if (offset === file.size) {
      file.proven = file.size;
      this.#on.received(file);
    } else if (!file.isPausedHere) {
      this.#alone(file);
    }
  }

  #onRefused(file, error) {
    const reaction = reactionTo(error);
    this.#on.refused(error);
    if (!reaction.retries) {
      this.#sent.delete(file);
      this.#on.ended(file, { reaction, error });
      return;
    }
    file.goesAlone = true;
    file.notBefore = performance.now() + spread() * 1000 * error.retryAfter;
    this.#on.interrupted(file, reaction);
    if (this.#sent.delete(file) && !file.isPausedHere) this.#alone(file);
  }

  // The request has failed as a whole. What it has done on the server is not known: the files are sent again.
  // `before`: how many requests in a row had failed when it was sent. Two that fail at the same time count once.
  #fail(files, error, size, before) {
    if (before === this.#failures) this.#failures += 1;
    const isLearned = this.#ways.failTogether(error, size, this.#failures);
    const reaction = isLearned ? sentOtherwise(error) : reactionTo(error);
    if (isLearned) this.#failures = 0;
    else this.#wait(error.retryAfter);
    for (const file of files) {
      if (!this.#sent.has(file)) continue;
      file.isCreating = false;
      // A request of its own shows whether the reason is that of the file.
      file.goesAlone ||= !reaction.retries;
      this.#on.interrupted(file, reaction);
    }
    const again = files.filter((file) => this.#sent.delete(file) && !file.isPausedHere);
    const waiting = [...again, ...this.#waiting];
    this.#waiting = new Set(waiting.filter((file) => this.takes(file)));
    for (const file of waiting) if (!this.#waiting.has(file)) this.#alone(file);
  }

  // Doubled each time, with jitter, so that pages do not overload a server that has come back.
  #wait(seconds) {
    const delay = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** Math.min(this.#failures - 1, 10));
    this.#notBefore = performance.now() + spread() * Math.max(delay, 1000 * seconds);
  }
}

const within = ({ least, most }, value) => Math.max(least, Math.min(most, value));

function sentOtherwise(error) {
  const reaction = error.status === 413 ? smallerRequests() : reactionTo(error);
  return reaction.retries ? reaction : bytesLater(error);
}

// As tus-js-client encodes it: the server compares it with that of a request that was sent alone.
function encoded(metadata) {
  return Object.entries(metadata)
    .map(([name, value]) => `${name} ${base64(String(value))}`)
    .join(",");
}

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

// The length of the document, the document, and the bytes of all files. The browser reads them as it sends them.
function bodyOf(files) {
  const entries = files.map(({ size, settings }) => ({ size, metadata: encoded(settings.metadata) }));
  const document = new TextEncoder().encode(JSON.stringify({ files: entries }));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, document.length);
  return new Blob([length, document, ...files.map(({ file }) => file)]);
}

// A function that gives, for the bytes of a request that have been sent, the files that have moved with their bytes.
function progressOf(files, size) {
  let start = size - files.reduce((sum, file) => sum + file.size, 0);
  let place = 0;
  return function* moved(loaded) {
    while (place < files.length && loaded > start) {
      const file = files[place];
      yield [file, Math.min(file.size, loaded - start)];
      if (loaded < start + file.size) return;
      start += file.size;
      place += 1;
    }
  };
}

// The results of a response, or the error that it is.
function outcomeOf(request, url, count) {
  const { status, responseText: text, responseURL } = request;
  const header = (name) => request.getResponseHeader(name);
  const isRedirect = responseURL !== url;
  const results = status === 200 && !isRedirect && isOurs(header, text) ? resultsIn(text) : null;
  if (results?.length === count) return { results, error: null };
  return { error: RequestError.from({ status, header, text, method: "POST", isRedirect }) };
}

function resultsIn(text) {
  try {
    return JSON.parse(text).results;
  } catch {
    return null;
  }
}

function errorOf({ status, error, fields = null, transfer = null, retry_after: retryAfter = 0 }) {
  const { code = "", message = "", request_id: requestId = "" } = error || {};
  return new RequestError({ status, code, message, requestId, method: "POST", fields, transfer, retryAfter });
}
