// SHA-256 of files, a slice at a time, by hash-wasm. The first message names its script, each later one is a question
// that is answered once. How far a file has been hashed is kept in IndexedDB, so that a reload goes on from there.

const SLICE = 4 * 1024 * 1024;
const SAVE_EVERY = 64 * 1024 * 1024;
const KEEP_DAYS = 14;
const DATABASE = "partway";
const STATES = "sha256";

const jobs = new Map();

self.addEventListener("message", async ({ data }) => {
  if (data.library) {
    importScripts(data.library);
    return;
  }
  try {
    self.postMessage({ question: data.question, value: await answer(data) });
  } catch (error) {
    self.postMessage({ question: data.question, error: String(error.message || error) });
  }
});

function answer(message) {
  if (!self.hashwasm) throw new Error("The hash function could not be loaded.");
  if (message.bytes) return digestOf(message.bytes);
  if (message.begin) return begin(message);
  const job = jobs.get(message.advance || message.finish || message.stop);
  if (!job) throw new Error("This file is not being hashed.");
  if (message.stop) return job.stop(message.forget);
  return message.finish ? job.finish() : job.advance(message.position);
}

async function digestOf(bytes) {
  const hasher = await hashwasm.createSHA256();
  return hasher.init().update(new Uint8Array(bytes)).digest("hex");
}

function begin({ begin: name, file, fingerprint }) {
  jobs.set(name, new Job(name, file, fingerprint));
}

class Job {
  #name;
  #file;
  #fingerprint;
  #position = 0;
  #saved = 0;
  #wanted = 0;
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
    this.#wanted = Math.max(this.#wanted, Math.min(position, this.#file.size));
    this.#running ||= this.#run().finally(() => (this.#running = null));
    return this.#running;
  }

  async finish() {
    while (!this.#digest) {
      if (this.#stopped) throw new Error("Stopped.");
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
    while (this.#position < this.#wanted && !this.#stopped) {
      const slice = this.#file.slice(this.#position, Math.min(this.#position + SLICE, this.#wanted));
      const bytes = new Uint8Array(await slice.arrayBuffer());
      this.#hasher.update(bytes);
      this.#position += bytes.length;
      if (this.#position - this.#saved >= SAVE_EVERY) await this.#save();
    }
  }

  async #restored() {
    const hasher = (await hashwasm.createSHA256()).init();
    const kept = await states.load(this.#fingerprint);
    try {
      if (kept && kept.position <= this.#file.size) {
        hasher.load(kept.state);
        this.#position = this.#saved = kept.position;
      }
    } catch {
      hasher.init(); // Written by another version of the library: from the start, then.
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

// What a private window refuses to keep is not kept: a reload then hashes from the start.
const states = {
  async load(fingerprint) {
    return this.ask("readonly", (store) => store.get(fingerprint));
  },
  async save(state) {
    return this.ask("readwrite", (store) => store.put(state));
  },
  async remove(fingerprint) {
    return this.ask("readwrite", (store) => store.delete(fingerprint));
  },
  async ask(mode, question) {
    try {
      const database = await (this.database ||= open());
      return await done(question(database.transaction(STATES, mode).objectStore(STATES)));
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
