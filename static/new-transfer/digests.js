// SHA-256 of whole files, made beside the page in a worker while the files are sent: the page may not run WebAssembly
// (its CSP), a worker may.

export class Digests {
  #addresses;
  #worker = null;
  #waiting = new Map();
  #number = 0;

  constructor(workerUrl, libraryUrl) {
    this.#addresses = { workerUrl, libraryUrl };
  }

  // The digest of bytes that are in memory.
  ofBytes(bytes) {
    return this.#ask({ bytes });
  }

  // A job that hashes `file` from its start, or from where an earlier one of this fingerprint had come to.
  begin(file, fingerprint) {
    return new Job((message) => this.#ask(message), ++this.#number, file, fingerprint);
  }

  // Each question is answered once, in any order.
  #ask(message) {
    const question = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(question, { resolve, reject });
      this.#started().postMessage({ ...message, question });
    });
  }

  #started() {
    if (this.#worker) return this.#worker;
    this.#worker = new Worker(this.#addresses.workerUrl);
    this.#worker.addEventListener("message", ({ data }) => this.#onAnswer(data));
    this.#worker.addEventListener("error", (event) => this.#onCrash(event));
    this.#worker.postMessage({ library: this.#addresses.libraryUrl });
    return this.#worker;
  }

  #onAnswer({ question, value, error }) {
    const { resolve, reject } = this.#waiting.get(question);
    this.#waiting.delete(question);
    if (error) reject(new Error(error));
    else resolve(value);
  }

  #onCrash(event) {
    event.preventDefault();
    this.#worker.terminate();
    this.#worker = null;
    for (const { reject } of this.#waiting.values()) reject(new Error("This browser could not run the hash function."));
    this.#waiting.clear();
  }
}

class Job {
  #ask;
  #name;
  #digest = null;

  constructor(ask, name, file, fingerprint) {
    this.#ask = ask;
    this.#name = name;
    // A failure is told to whoever waits for the digest.
    this.#ask({ begin: name, file, fingerprint }).catch(() => {});
  }

  // Hash up to `position`: as the bytes are sent, so that they are read from the disk once.
  advance(position) {
    this.#ask({ advance: this.#name, position }).catch(() => {});
  }

  // The digest of the whole file.
  finish() {
    this.#digest ||= this.#ask({ finish: this.#name });
    return this.#digest;
  }

  // `forget`: nothing of it will be gone on with.
  stop(forget) {
    this.#ask({ stop: this.#name, forget }).catch(() => {});
  }
}
