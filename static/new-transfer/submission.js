// Sends files of the list: checks the form, gives each file its settings, and hands the files to Sending.

import { keysInUse, takeKey, twinText } from "./same-keys.js";
import { post } from "./server.js";
import { isNotStarted } from "./states.js";

const $ = (id) => document.getElementById(id);

export class Submission {
  #files;
  #form;
  #list;
  #sending;
  #onSetChanged;
  #last = Promise.resolve();

  constructor({ files, form, list, sending, onSetChanged }) {
    this.#files = files;
    this.#form = form;
    this.#list = list;
    this.#sending = sending;
    this.#onSetChanged = onSetChanged;
  }

  // Submissions run one after another, so that two clicks do not send the same file twice.
  send(pick) {
    this.#last = this.#last.then(() => this.#sendNow(pick()));
  }

  async #sendNow(files) {
    this.#form.clearErrors();
    if (!files.length) return;
    const isSingle = [...this.#files].filter(isNotStarted).length === 1;
    try {
      if (this.#hasDigestError(files)) return;
      await this.#check(files, isSingle);
      const inUse = keysInUse(this.#files);
      const settingsOf = this.#form.settings(isSingle);
      const sent = files.filter((file) => this.#takeSettings(file, settingsOf(file), inUse));
      this.#rememberDestination();
      this.#focusAfterSend();
      this.#sending.start(sent).catch((error) => this.#showError(error));
    } catch (error) {
      this.#showError(error);
    }
    this.#onSetChanged();
    this.#list.showNow();
  }

  // A file that is too large is refused in its row; it does not stop the others.
  async #check(files, isSingle) {
    try {
      await post(this.#form.element.dataset.check, this.#form.sharedFields(files, isSingle));
    } catch (error) {
      const wrong = Object.keys(error.fields || {});
      if (files.length < 2 || wrong.join() !== "file") throw error;
    }
  }

  #hasDigestError(files) {
    if (this.#form.verify !== "pasted") return false;
    const isHex = /^[0-9a-f]{64}$/i.test(this.#form.text("sha256").trim());
    if (isHex && files.length === 1) return false;
    const message = isHex
      ? gettext("A SHA-256 is for one file. Send that file alone.")
      : gettext("A SHA-256 has 64 hexadecimal digits.");
    this.#form.showErrors(gettext("Correct the fields that are marked."), { sha256: message });
    return true;
  }

  #showError({ status, message, fields, proxy }) {
    const messages = proxy ? {} : {
      0: gettext("Partway cannot be reached. Nothing was sent. Try again."),
      401: gettext("Your session has ended. Sign in again, then send the files again."),
    };
    this.#form.showErrors(messages[status] || message, fields);
  }

  // Whether no other file of the list has the same key. The fields are read now: later changes apply to other files.
  #takeSettings(file, settings, inUse) {
    const other = takeKey(inUse, settings, file);
    if (other) {
      Object.assign(file, { state: "refused", message: twinText(other), twin: other });
      this.#list.touch(file);
      return false;
    }
    file.reset();
    file.settings = settings;
    file.state = "preparing";
    return true;
  }

  // After a reload the form has the same destination, so that the same files are resumed.
  #rememberDestination() {
    const query = new URLSearchParams({ store: this.#form.store, bucket: this.#form.bucket });
    for (const name of ["prefix", "key"]) if (this.#form.text(name)) query.set(name, this.#form.text(name));
    history.replaceState(null, "", `?${query}`);
  }

  #focusAfterSend() {
    if (document.activeElement === $("send") || document.activeElement === document.body) $("files-title").focus();
  }
}
