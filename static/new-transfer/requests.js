// The operator's steps: each goes to the server, for the store leg, and to what this page is sending.

import { post } from "./server.js";

const PAUSE_BETWEEN_TRIES = 2000;

export class Orders {
  #transfers;
  #sending;
  #changed;

  constructor({ addresses, sending, changed }) {
    this.#transfers = addresses.transfers;
    this.#sending = sending;
    this.#changed = changed;
  }

  async pause(file) {
    this.#sending.pause(file);
    await this.deliver(file, "pause");
  }

  async resume(file) {
    if (await this.deliver(file, "resume")) this.#sending.goOn(file);
  }

  // What failed in the store is tried again by the server; what failed on the way to it, from here.
  async retry(file) {
    if (!file.failedElsewhere || (await this.deliver(file, "retry"))) this.#sending.goOn(file);
  }

  async cancel(file) {
    file.state = "cancelling";
    file.words = "";
    this.#changed(file);
    // Whether there is a transfer to cancel is known once its creation is answered.
    if (file.isCreating) return;
    this.#sending.stop(file);
    if (file.transferId) await this.deliver(file, "cancel");
    else file.state = "cancelled";
    this.#changed(file);
  }

  // Tell the server, again and again while it cannot be reached; whether it did so. A later order takes its place.
  async deliver(file, step) {
    if (!file.transferId) return true;
    const order = (file.lastOrder = { step });
    file.ordersUnderWay += 1;
    try {
      while (file.lastOrder === order) {
        const refusal = await this.#ask(file, step);
        this.#say(file, refusal && isPassing(refusal) ? `Partway is told to ${step} as soon as it can be reached.` : "");
        if (!refusal) return true;
        if (!isPassing(refusal)) return this.#refused(file, step, refusal);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_BETWEEN_TRIES));
      }
      return false;
    } finally {
      file.ordersUnderWay -= 1;
      file.orderedAt = performance.now();
    }
  }

  async #ask(file, step) {
    try {
      await post(`${this.#transfers}${file.transferId}/${step}/`);
      return null;
    } catch (refusal) {
      return refusal;
    }
  }

  #refused(file, step, refusal) {
    if (refusal.status === 404 && step === "cancel") file.state = "cancelled";
    this.#say(file, refusal.message);
    return false;
  }

  #say(file, notice) {
    file.notice = notice;
    this.#changed(file);
  }
}

// Not reached, signed out, or a server in trouble: the order still stands.
const isPassing = ({ status, code }) => !status || status >= 500 || status === 401 || code === "CsrfFailed";
