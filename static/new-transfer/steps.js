// The buttons of the rows and the buttons for all files.

import { fill } from "./formatting.js";
import { showKey } from "./keys.js";
import { isFinal, isNotStarted, stepsOf } from "./states.js";

// The steps that send a file again: over an object, instead of the transfer in the way, or as before.
const SENDING_AGAIN = new Set(["replace", "takeover", "again"]);

const $ = (id) => document.getElementById(id);

export class Steps {
  #files;
  #list;
  #sending;
  #requests;
  #submission;
  #onSetChanged;

  constructor({ files, list, sending, requests, submission, onSetChanged }) {
    this.#files = files;
    this.#list = list;
    this.#sending = sending;
    this.#requests = requests;
    this.#submission = submission;
    this.#onSetChanged = onSetChanged;
  }

  onClick(event) {
    const button = event.target.closest("button");
    if (!button) return;
    const { step, all } = button.dataset;
    if (all) this.#stepAll(all);
    else if (step) this.#step(step, this.#fileOf(button));
    this.#list.showNow();
    if (all && !button.checkVisibility()) $("files-title").focus();
  }

  // Enter saves the key that is being edited, Escape discards the change.
  onKey(event) {
    if (!event.target.matches(".file-editing input") || event.isComposing) return;
    const file = this.#fileOf(event.target);
    if (event.key === "Enter") this.#saveKey(file);
    else if (event.key === "Escape") this.#list.row(file).takeEdited();
    else return;
    event.preventDefault();
    this.#list.showNow();
  }

  #fileOf(element) {
    const { id } = element.closest(".file");
    return this.#files.byId(id);
  }

  #step(step, file) {
    file.notice = "";
    if (step === "edit") this.#list.row(file).edit();
    else if (step === "save") this.#saveKey(file);
    else if (step === "keep") this.#list.row(file).takeEdited();
    else if (step === "remove") this.#remove(file);
    else if (step === "cancel" || step === "discard") this.#confirmCancel([file]);
    else if (SENDING_AGAIN.has(step)) this.#sendAgain(step, [file]);
    else this.#requests[step](file);
  }

  #stepAll(step) {
    const having = (...steps) => [...this.#files].filter((file) => stepsOf(file).some((each) => steps.includes(each)));
    if (step === "cancel") this.#confirmCancel(having("cancel", "discard"));
    else if (SENDING_AGAIN.has(step)) this.#sendAgain(step, having(step));
    else if (step === "remove") this.#remove(...[...this.#files].filter(isNotStarted));
    else if (step === "clear") this.#remove(...[...this.#files].filter(isFinal));
    else for (const file of having(step)) this.#step(step, file);
  }

  #sendAgain(step, files) {
    for (const file of files) {
      file.mayReplace ||= step === "replace";
      if (step === "takeover") file.discard = file.inTheWay.id;
      // A file that was sent before keeps its key, whatever the form's fields say now.
      if (!isNotStarted(file)) file.ownKey = file.settings.key;
    }
    this.#submission.send(() => files.filter((file) => stepsOf(file).includes(step)));
  }

  #remove(...files) {
    for (const file of files) {
      this.#sending.stop(file);
      this.#files.delete(file);
    }
    this.#list.move();
    if (!this.#files.size) $("choose-files").focus();
    this.#onSetChanged();
  }

  #confirmCancel(files) {
    const started = files.filter((file) => file.transferId);
    if (!started.length) {
      this.#cancel(files);
      return;
    }
    const dialog = $("cancel-dialog");
    if (files.length === 1) showKey($("cancel-what"), files[0].settings.key);
    else $("cancel-what").textContent = transfersText(files.length);
    dialog.returnValue = "";
    dialog.addEventListener("close", () => dialog.returnValue === "cancel" && this.#cancel(files), { once: true });
    dialog.showModal();
  }

  #cancel(files) {
    for (const file of files) this.#requests.cancel(file);
    this.#list.showNow();
  }

  #saveKey(file) {
    const key = this.#list.row(file).takeEdited();
    if (key === null) return;
    file.ownKey = key || null;
    // That was confirmed for the object, or the transfer, at the other key.
    file.mayReplace = false;
    file.discard = "";
    file.reset();
    this.#list.touch(file);
    this.#onSetChanged();
  }
}

function transfersText(count) {
  return fill(ngettext("%(count)s transfer", "%(count)s transfers", count), { count });
}
