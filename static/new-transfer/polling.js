// What the server says of the transfers of this page: asked for all of them at once, every second while one moves.

import { getJson } from "./server.js";
import { isFinal } from "./states.js";

const WHILE_MOVING = 1000;
const WHILE_RESTING = 5000;
const TRANSFERS_AT_A_TIME = 100; // Their ids fit into an address that every proxy takes.

export class Following {
  #transfers;
  #files;
  #sending;
  #changed;
  #turn = 0;

  constructor({ addresses, files, sending, changed }) {
    this.#transfers = addresses.transfers;
    this.#files = files;
    this.#sending = sending;
    this.#changed = changed;
    this.#wait();
  }

  #wait() {
    const moves = [...this.#files()].some((file) => file.transferId && moving(file));
    setTimeout(() => this.#look().finally(() => this.#wait()), moves ? WHILE_MOVING : WHILE_RESTING);
  }

  // Where there are more than fit, it is each one's turn after another.
  async #look() {
    const followed = [...this.#files()].filter((file) => file.transferId && !isFinal(file));
    if (!followed.length) return;
    this.#turn %= followed.length;
    const asked = [...followed.slice(this.#turn), ...followed.slice(0, this.#turn)].slice(0, TRANSFERS_AT_A_TIME);
    this.#turn += asked.length;
    const query = asked.map((file) => `id=${file.transferId}`).join("&");
    const at = performance.now();
    try {
      const { transfers } = await getJson(`${this.#transfers}?${query}`);
      const byId = new Map(transfers.map((transfer) => [transfer.id, transfer]));
      for (const file of asked) if (byId.has(file.transferId)) this.#adopt(file, byId.get(file.transferId), at);
    } catch {
      // The next look may be luckier; what is sent meanwhile says itself what it meets.
    }
  }

  #adopt(file, transfer, askedAt) {
    file.page = transfer.url;
    file.digest = transfer.sha256 || file.digest;
    this.#note(file, transfer);
    // An order that was given after this was asked is not in it.
    const isOld = file.ordersUnderWay || askedAt < file.orderedAt || isFinal(file);
    if (!isOld) this.#follow(file, transfer);
    this.#changed(file);
  }

  #note(file, transfer) {
    const received = file.state === "sending" ? file.received : transfer.bytes_received;
    file.note(file.isUnsent ? received : file.size, transfer.bytes_sent);
    file.storeRate.add(transfer.bytes_sent);
    file.storeIsWhole = transfer.state === "done";
    file.canRetry = transfer.state !== "failed" || transfer.steps.includes("retry");
  }

  #follow(file, transfer) {
    const { state, error, waiting } = transfer;
    if (state === "done" || state === "failed" || state === "cancelled") {
      this.#end(file, state, error);
    } else if (state === "cancelling") {
      this.#sending.stop(file);
      file.state = "cancelling";
    } else if (state === "paused") {
      if (file.state !== "paused") this.#sending.pause(file);
    } else {
      this.#goOn(file, transfer);
      if (file.state === "storing") file.words = waiting || (error ? error.message : "");
    }
  }

  #end(file, state, error) {
    if (file.state === state && state !== "failed") return;
    this.#sending.stop(file);
    file.state = state;
    file.words = "";
    file.error = error;
    file.failedElsewhere = true;
    if (state !== "failed") file.notice = ""; // An order that came too late.
    if (state === "done") file.note(file.size, file.size);
  }

  // It runs, as far as the server knows.
  #goOn(file, transfer) {
    file.error = null;
    const isHere = transfer.parts.received === transfer.parts.count;
    // Another window may have sent it, or its rest.
    if (file.isUnsent && isHere && file.state !== "sending") this.#sending.allHere(file);
    else if (restsWithoutReason(file)) this.#sending.goOn(file);
    file.isCompleting = transfer.state === "completing";
  }
}

// It was paused or failed, and somebody resumed or retried it elsewhere; or its cancellation was refused.
function restsWithoutReason({ state, failedElsewhere }) {
  return state === "paused" || state === "cancelling" || (state === "failed" && failedElsewhere);
}

const moving = (file) => !isFinal(file) && file.state !== "paused" && file.state !== "failed";
