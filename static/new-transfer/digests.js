// Digests of files, computed in a worker: the SHA-256 of whole files while they are sent, and the CRC-64 of what the server
// has received. The page's CSP forbids WebAssembly; a worker may run it.

const ERRORS = {
  library: () => gettext("The hash function could not be loaded."),
  crash: () => gettext("This browser could not run the hash function."),
  stopped: () => gettext("The computation of the SHA-256 was stopped."),
};

export class Digests {
  #addresses;
  #worker = null;
  #waiting = new Map();
  #number = 0;

  constructor(workerUrl, libraryUrls) {
    this.#addresses = { workerUrl, libraryUrls };
  }

  // The digest of bytes in memory.
  ofBytes(bytes) {
    return this.#request({ bytes });
  }

  // The CRC-64 of the bytes of `file` between two offsets, in hexadecimal: `algorithm` is nvme or ecma.
  crc64Of(file, start, end, algorithm) {
    return this.#request({ crc64: algorithm, file, from: start, to: end });
  }

  // A job that hashes `file` from its start, or from the saved position of an earlier job with this fingerprint.
  start(file, fingerprint) {
    return new Job((message) => this.#request(message), ++this.#number, file, fingerprint);
  }

  // Each request gets one response, in any order.
  #request(message) {
    const request = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(request, { resolve, reject });
      this.#started().postMessage({ ...message, request });
    });
  }

  #started() {
    if (this.#worker) return this.#worker;
    this.#worker = new Worker(this.#addresses.workerUrl);
    this.#worker.addEventListener("message", ({ data }) => this.#onResponse(data));
    this.#worker.addEventListener("error", (event) => this.#onCrash(event));
    this.#worker.postMessage({ libraries: this.#addresses.libraryUrls });
    return this.#worker;
  }

  // `error` is a code of ours, or the browser's own message.
  #onResponse({ request, value, error }) {
    const { resolve, reject } = this.#waiting.get(request);
    this.#waiting.delete(request);
    if (error) reject(new Error(ERRORS[error]?.() || error));
    else resolve(value);
  }

  #onCrash(event) {
    event.preventDefault();
    this.#worker.terminate();
    this.#worker = null;
    for (const { reject } of this.#waiting.values()) reject(new Error(ERRORS.crash()));
    this.#waiting.clear();
  }
}

class Job {
  #request;
  #name;
  #digest = null;

  constructor(request, name, file, fingerprint) {
    this.#request = request;
    this.#name = name;
    // finish() reports a failure.
    this.#request({ start: name, file, fingerprint }).catch(() => {});
  }

  // Hash up to `position`, as the bytes are sent, so that they are read from the disk once.
  advance(position) {
    this.#request({ advance: this.#name, position }).catch(() => {});
  }

  // The digest of the whole file.
  finish() {
    this.#digest ||= this.#request({ finish: this.#name });
    return this.#digest;
  }

  // `forget`: the job will not be resumed, so its saved position is deleted.
  stop(forget) {
    this.#request({ stop: this.#name, forget }).catch(() => {});
  }
}
