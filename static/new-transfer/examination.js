// What happens to a file before it is sent: its fingerprint is computed, and the server is asked whether it resumes a
// transfer. Files are sent as soon as they are ready, while the next ones are still being examined.

import { isTemporary } from "./requests.js";

const FILES_READ_AT_A_TIME = 4;
// The server is asked for many files at a time, but never so late that nothing is left to send.
const FILES_PER_LOOKUP = 100;
const MOST_PER_LOOKUP = 250; // Their keys fit into the 1 MiB that some proxies allow.
// Reading stops while so many files wait for the server: reading thousands would delay the first ones.
const MOST_IDENTIFIED = 2 * MOST_PER_LOOKUP;
const RETRY_DELAY = 2000;

export class Examination {
  #read;
  #lookUp;
  #ready;
  #isHungry;
  #next = []; // Not read yet, the first last.
  #reading = 0;
  #identified = [];
  #isLookingUp = false;

  // `read(file)` computes the fingerprint and `lookUp(files)` asks the server; both may reject. `ready(files)` sends; it is
  // also called, without files, when no others follow. `isHungry()` tells whether nothing is left to send.
  constructor({ read, lookUp, ready, isHungry }) {
    this.#read = read;
    this.#lookUp = lookUp;
    this.#ready = ready;
    this.#isHungry = isHungry;
  }

  // Resolves when the first of these files can be sent, or none needs it any more. Rejects, and leaves the files as they
  // are, if the server cannot be reached before that.
  start(files) {
    const batch = { run: new Map(files.map((file) => [file, file.run])), hasBegun: false };
    const begun = new Promise((resolve, reject) => Object.assign(batch, { resolve, reject }));
    this.#next = [...this.#next.reverse(), ...files.map((file) => ({ file, batch }))].reverse();
    this.#readOn();
    if (!files.length) batch.resolve();
    return begun;
  }

  // Whether more files may become ready.
  get isBusy() {
    return this.#next.length + this.#reading + this.#identified.length > 0;
  }

  get #mayRead() {
    return this.#next.length > 0 && this.#identified.length < MOST_IDENTIFIED;
  }

  #readOn() {
    while (this.#reading < FILES_READ_AT_A_TIME && this.#mayRead) this.#work();
  }

  async #work() {
    this.#reading += 1;
    while (this.#mayRead) {
      const entry = this.#next.pop();
      if (!isWanted(entry)) entry.batch.resolve();
      else if (await this.#read(entry.file)) this.#identified.push(entry);
      else entry.batch.resolve();
      this.#lookUpSoon();
    }
    this.#reading -= 1;
    this.#lookUpSoon();
  }

  get #isDue() {
    if (!this.#identified.length) return false;
    const isLast = !this.#next.length && !this.#reading;
    return isLast || this.#identified.length >= FILES_PER_LOOKUP || this.#isHungry();
  }

  async #lookUpSoon() {
    if (this.#isLookingUp) return;
    this.#isLookingUp = true;
    while (this.#isDue) {
      await this.#lookUpNext();
      this.#readOn();
    }
    this.#isLookingUp = false;
    if (!this.isBusy) this.#ready([]);
  }

  async #lookUpNext() {
    const entries = this.#takeBatch().filter(isWanted);
    if (!entries.length) return;
    const { batch } = entries[0];
    try {
      await this.#lookUp(entries.map(({ file }) => file));
    } catch (error) {
      if (batch.hasBegun && isTemporary(error)) {
        // Sending retries as well, for hours.
        this.#identified.unshift(...entries);
        await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
        return;
      }
      this.#giveUp(batch);
      batch.reject(error);
      return;
    }
    batch.hasBegun = true;
    this.#ready(entries.filter(isWanted).map(({ file }) => file));
    batch.resolve();
  }

  // The next files that were started together: they have the same destination.
  #takeBatch() {
    const { batch } = this.#identified[0];
    const end = this.#identified.findIndex((entry) => entry.batch !== batch);
    return this.#identified.splice(0, Math.min(end < 0 ? this.#identified.length : end, MOST_PER_LOOKUP));
  }

  #giveUp(batch) {
    const isOther = (entry) => entry.batch !== batch;
    this.#identified = this.#identified.filter(isOther);
    this.#next = this.#next.filter(isOther);
  }
}

// It may have been cancelled or paused in the meantime, and even sent again.
const isWanted = ({ file, batch }) => file.state === "preparing" && file.run === batch.run.get(file);
