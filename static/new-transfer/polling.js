// Follows the transfers of this page on the server: one request for all of them, every second while one moves, and less
// often the longer nothing changes. A hidden tab asks only while it sends: the transfer may be paused or resumed elsewhere.

import { delayAfter } from "../poll-delays.js";
import { pollJson } from "./server.js";
import { isFinal } from "./states.js";

// Seconds.
const WHILE_MOVING = 1;
const WHILE_RESTING = 5;
const AT_MOST = 15; // Another tab may pause or resume what this page sends.
const TRANSFERS_PER_REQUEST = 100; // Their ids fit into a URL that every proxy accepts.

export class Polling {
  #transfers;
  #files;
  #sending;
  #changed;
  #turn = 0;
  #changedAt = Date.now();
  #timer = null;

  constructor({ addresses, files, sending, changed }) {
    this.#transfers = addresses.transfers;
    this.#files = files;
    this.#sending = sending;
    this.#changed = changed;
    this.#wait();
    document.addEventListener("visibilitychange", () => !document.hidden && this.#soon());
  }

  #soon() {
    this.#changedAt = Date.now();
    this.#wait();
  }

  #wait() {
    const followed = [...this.#files()].filter(isFollowed);
    if (!followed.length) this.#changedAt = Date.now();
    const fastest = followed.some(isMoving) ? WHILE_MOVING : WHILE_RESTING;
    const delay = Math.min(AT_MOST, delayAfter((Date.now() - this.#changedAt) / 1000, fastest));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#turnCame(), delay * 1000);
  }

  #turnCame() {
    const asks = !document.hidden || [...this.#files()].some((file) => isFollowed(file) && file.isUnsent);
    (asks ? this.#poll() : Promise.resolve()).finally(() => this.#wait());
  }

  // If there are more transfers than fit into a request, they take turns.
  async #poll() {
    const followed = [...this.#files()].filter(isFollowed);
    if (!followed.length) return;
    this.#turn %= followed.length;
    const polled = [...followed.slice(this.#turn), ...followed.slice(0, this.#turn)].slice(0, TRANSFERS_PER_REQUEST);
    this.#turn += polled.length;
    const query = polled.map((file) => `id=${file.transferId}`).join("&");
    const at = performance.now();
    try {
      const { transfers } = await pollJson(`${this.#transfers}?${query}`);
      const byId = new Map(transfers.map((transfer) => [transfer.id, transfer]));
      for (const file of polled) if (byId.has(file.transferId)) this.#update(file, byId.get(file.transferId), at);
    } catch {
      // The next poll follows soon. Files that are being sent report their own errors.
    }
  }

  #update(file, transfer, polledAt) {
    const { state, bytes_received, bytes_sent } = transfer;
    const polled = [state, bytes_received, bytes_sent].join();
    if (file.polled !== polled) this.#changedAt = Date.now();
    file.polled = polled;
    file.page = transfer.url;
    file.digest = transfer.sha256 || file.digest;
    this.#note(file, transfer);
    // The response does not reflect a request that was sent after it.
    const isOld = file.pendingRequests || polledAt < file.requestedAt || isFinal(file) || file.isProving;
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
    // Another window may have sent the file, or the rest of it.
    if (file.isUnsent && isReceived(transfer) && !isCancelled(state) && file.state !== "sending") {
      this.#receivedElsewhere(file);
    } else if (state === "done" || state === "failed" || state === "cancelled") {
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

  // Once it is certain that the bytes are those of this file, the next poll follows the rest.
  #receivedElsewhere(file) {
    file.isProving = true;
    this.#sending.receivedElsewhere(file).finally(() => (file.isProving = false));
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
    if (canBeResumed(file)) this.#sending.resume(file);
    file.isCompleting = transfer.state === "completing";
  }
}

// It was paused or failed, and was resumed or retried elsewhere; or its cancellation was refused.
function canBeResumed({ state, failedElsewhere }) {
  return state === "paused" || state === "cancelling" || (state === "failed" && failedElsewhere);
}

const isFollowed = (file) => file.transferId && !isFinal(file);
const isCancelled = (state) => state === "cancelled" || state === "cancelling";
const isReceived = ({ parts }) => parts.received === parts.count;

const isMoving = (file) => !isFinal(file) && file.state !== "paused" && file.state !== "failed";
