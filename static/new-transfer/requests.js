// The operator's requests for a file: pause, resume, retry and cancel. Each goes to the server, for the store leg, and to
// what this page is sending.

import { isPassing } from "../responses.js";
import { SESSION_CODES, post } from "./server.js";

const RETRY_DELAY = 2000;

const PENDING = {
  pause: () => gettext("The transfer will be paused when Partway can be reached."),
  resume: () => gettext("The transfer will be resumed when Partway can be reached."),
  retry: () => gettext("The transfer will be retried when Partway can be reached."),
  cancel: () => gettext("The transfer will be cancelled when Partway can be reached."),
};

export class Requests {
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
    // The response to its creation tells whether there is a transfer to pause.
    if (file.isCreating) return;
    await this.deliver(file, "pause");
  }

  async resume(file) {
    if (file.isCreating || (await this.deliver(file, "resume"))) this.#sending.resume(file);
  }

  // The server retries what failed in the store. What failed on the way to the server is sent again from here.
  async retry(file) {
    if (!file.failedElsewhere || (await this.deliver(file, "retry"))) this.#sending.resume(file);
  }

  async cancel(file) {
    file.state = "cancelling";
    file.message = "";
    this.#changed(file);
    // The response to its creation tells whether there is a transfer to cancel.
    if (file.isCreating) return;
    this.#sending.stop(file);
    await this.deliver(file, "cancel");
    if (!file.transferId) file.state = "cancelled";
    this.#changed(file);
  }

  // Send a request to the server, and retry while the server cannot be reached. Returns whether it succeeded. A later
  // request for the same file replaces it, and is sent after the response to it: the server may handle two that it has at
  // the same time in any order.
  async deliver(file, step) {
    if (!file.transferId && !file.mayExist) return true;
    const request = (file.lastRequest = { step });
    file.pendingRequests += 1;
    try {
      for (;;) {
        await file.answered;
        if (file.lastRequest !== request) return false;
        file.answered = this.#send(file, step);
        const error = await file.answered;
        this.#notify(file, error && isTemporary(error) ? pendingText(step, error) : "");
        if (!error) return true;
        if (!isTemporary(error)) return this.#fail(file, step, error);
        const delay = Math.max(RETRY_DELAY, 1000 * error.retryAfter);
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    } finally {
      file.pendingRequests -= 1;
      file.requestedAt = performance.now();
    }
  }

  async #send(file, step) {
    try {
      if (!file.transferId) await this.#sending.find(file);
      if (file.transferId) await post(`${this.#transfers}${file.transferId}/${step}/`);
      return null;
    } catch (error) {
      return error;
    }
  }

  #fail(file, step, error) {
    if (error.status === 404 && step === "cancel") file.state = "cancelled";
    this.#notify(file, error.message);
    return false;
  }

  #notify(file, notice) {
    file.notice = notice;
    this.#changed(file);
  }
}

const pendingText = (step, { proxy, message }) => (proxy ? `${message} ${PENDING[step]()}` : PENDING[step]());

// No response, signed out, or an error of the server: the request is sent again.
// A proxy may let it pass later.
export const isTemporary = ({ status, code, proxy }) =>
  proxy ? isPassing(proxy) : !status || status >= 500 || status === 401 || status === 429 || SESSION_CODES.has(code);
