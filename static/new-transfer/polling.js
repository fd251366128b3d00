// Follows the transfers of this page on the server: one request for all of them, every second while one moves.

import { getJson } from "./server.js";
import { isFinal } from "./states.js";

const WHILE_MOVING = 1000;
const WHILE_RESTING = 5000;
const TRANSFERS_PER_REQUEST = 100; // Their ids fit into a URL that every proxy accepts.

export class Polling {
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
    const moves = [...this.#files()].some((file) => file.transferId && isMoving(file));
    setTimeout(() => this.#poll().finally(() => this.#wait()), moves ? WHILE_MOVING : WHILE_RESTING);
  }

  // If there are more transfers than fit into a request, they take turns.
  async #poll() {
    const followed = [...this.#files()].filter((file) => file.transferId && !isFinal(file));
    if (!followed.length) return;
    this.#turn %= followed.length;
    const polled = [...followed.slice(this.#turn), ...followed.slice(0, this.#turn)].slice(0, TRANSFERS_PER_REQUEST);
    this.#turn += polled.length;
    const query = polled.map((file) => `id=${file.transferId}`).join("&");
    const at = performance.now();
    try {
      const { transfers } = await getJson(`${this.#transfers}?${query}`);
      const byId = new Map(transfers.map((transfer) => [transfer.id, transfer]));
      for (const file of polled) if (byId.has(file.transferId)) this.#update(file, byId.get(file.transferId), at);
    } catch {
      // The next poll follows soon. Files that are being sent report their own errors.
    }
  }

  #update(file, transfer, polledAt) {
    file.page = transfer.url;
    file.digest = transfer.sha256 || file.digest;
    this.#note(file, transfer);
    // The response does not reflect a request that was sent after it.
    const isOld = file.pendingRequests || polledAt < file.requestedAt || isFinal(file);
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
      this.#resume(file, transfer);
      if (file.state === "storing") file.message = waiting || (error ? error.message : "");
    }
  }

  #end(file, state, error) {
    if (file.state === state && state !== "failed") return;
    this.#sending.stop(file);
    file.state = state;
    file.message = "";
    file.error = error;
    file.failedElsewhere = true;
    if (state !== "failed") file.notice = ""; // A request that came too late.
    if (state === "done") file.note(file.size, file.size);
  }

  // The transfer runs on the server.
  #resume(file, transfer) {
    file.error = null;
    const isReceived = transfer.parts.received === transfer.parts.count;
    // Another window may have sent the file, or the rest of it.
    if (file.isUnsent && isReceived && file.state !== "sending") this.#sending.receivedElsewhere(file);
    else if (canBeResumed(file)) this.#sending.resume(file);
    file.isCompleting = transfer.state === "completing";
  }
}

// It was paused or failed, and was resumed or retried elsewhere; or its cancellation was refused.
function canBeResumed({ state, failedElsewhere }) {
  return state === "paused" || state === "cancelling" || (state === "failed" && failedElsewhere);
}

const isMoving = (file) => !isFinal(file) && file.state !== "paused" && file.state !== "failed";
