// SHA-256 and CRC-64 of files, slice by slice, by hash-wasm. The first message has the URLs of its scripts; each later one
// is a request that gets one response. Errors are codes: static/new-transfer/digests.js has their texts. The position and state of each
// computation are saved in IndexedDB, so that it resumes after a reload.

const SLICE = 4 * 1024 * 1024;
const SAVE_EVERY = 64 * 1024 * 1024;
const KEEP_DAYS = 14;
const DATABASE = "partway";
const STATES = "sha256";

const jobs = new Map();

self.addEventListener("message", async ({ data }) => {
  if (data.libraries) {
    importScripts(...data.libraries);
    return;
  }
  try {
    self.postMessage({ request: data.request, value: await respond(data) });
  } catch (error) {
    self.postMessage({ request: data.request, error: String(error.message || error) });
  }
});

function respond(message) {
  if (!self.hashwasm) throw new Error("library");
  if (message.bytes) return digestOf(message.bytes);
  if (message.crc64) return crc64Of(message);
  if (message.start) return start(message);
  const job = jobs.get(message.advance || message.finish || message.stop);
  if (!job) throw new Error("stopped");
  if (message.stop) return job.stop(message.forget);
  return message.finish ? job.finish() : job.advance(message.position);
}

async function digestOf(bytes) {
  const hasher = await hashwasm.createSHA256();
  return hasher.init().update(new Uint8Array(bytes)).digest("hex");
}

// The polynomials of S3 and of OSS, reflected as the library needs them.
const POLYNOMIALS = { nvme: "9a6c9329ac4bc9b5", ecma: "c96c5795d7870f42" };

async function crc64Of({ crc64: algorithm, file, from, to }) {
  const hasher = (await hashwasm.createCRC64(POLYNOMIALS[algorithm])).init();
  for (let at = from; at < to; at += SLICE) {
    hasher.update(new Uint8Array(await file.slice(at, Math.min(at + SLICE, to)).arrayBuffer()));
  }
  return hasher.digest("hex");
}

function start({ start: name, file, fingerprint }) {
  jobs.set(name, new Job(name, file, fingerprint));
}

class Job {
  #name;
  #file;
  #fingerprint;
  #position = 0;
  #saved = 0;
  #target = 0;
  #stopped = false;
  #hasher = null;
  #running = null;
  #digest = null;

  constructor(name, file, fingerprint) {
    this.#name = name;
    this.#file = file;
    this.#fingerprint = fingerprint;
  }

  advance(position) {
    this.#target = Math.max(this.#target, Math.min(position, this.#file.size));
    this.#running ||= this.#run().finally(() => (this.#running = null));
    return this.#running;
  }

  async finish() {
    while (!this.#digest) {
      if (this.#stopped) throw new Error("stopped");
      await this.advance(this.#file.size);
      if (this.#position === this.#file.size) this.#digest ||= this.#hasher.digest("hex");
    }
    return this.#digest;
  }

  async stop(forget) {
    this.#stopped = true;
    jobs.delete(this.#name);
    if (forget) await states.remove(this.#fingerprint);
  }

  async #run() {
    this.#hasher ||= await this.#restored();
    while (this.#position < this.#target && !this.#stopped) {
      const slice = this.#file.slice(this.#position, Math.min(this.#position + SLICE, this.#target));
      const bytes = new Uint8Array(await slice.arrayBuffer());
      this.#hasher.update(bytes);
      this.#position += bytes.length;
      if (this.#position - this.#saved >= SAVE_EVERY) await this.#save();
    }
  }

  async #restored() {
    const hasher = (await hashwasm.createSHA256()).init();
    const saved = await states.load(this.#fingerprint);
    try {
      if (saved && saved.position <= this.#file.size) {
        hasher.load(saved.state);
        this.#position = this.#saved = saved.position;
      }
    } catch {
      hasher.init(); // Another version of the library saved it: start again.
    }
    return hasher;
  }

  async #save() {
    this.#saved = this.#position;
    await states.save({
      fingerprint: this.#fingerprint,
      position: this.#position,
      state: this.#hasher.save(),
      at: Date.now(),
    });
  }
}

// A private window may refuse to save: the computation then starts again after a reload.
const states = {
  async load(fingerprint) {
    return this.request("readonly", (store) => store.get(fingerprint));
  },
  async save(state) {
    return this.request("readwrite", (store) => store.put(state));
  },
  async remove(fingerprint) {
    return this.request("readwrite", (store) => store.delete(fingerprint));
  },
  async request(mode, operation) {
    try {
      const database = await (this.database ||= open());
      return await done(operation(database.transaction(STATES, mode).objectStore(STATES)));
    } catch {
      return undefined;
    }
  },
};

async function open() {
  const request = indexedDB.open(DATABASE, 1);
  request.addEventListener("upgradeneeded", () => request.result.createObjectStore(STATES, { keyPath: "fingerprint" }));
  const database = await done(request);
  const store = database.transaction(STATES, "readwrite").objectStore(STATES);
  const tooOld = Date.now() - KEEP_DAYS * 86_400_000;
  for (const state of await done(store.getAll())) if (state.at < tooOld) store.delete(state.fingerprint);
  return database;
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}
