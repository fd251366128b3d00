// The page of a new transfer where its scripts run. Without them its form is sent as it stands, with one file.

import { Asking } from "./lookups.js";
import { ChosenFile } from "./selected-file.js";
import { acceptDrops, offerDialogues } from "./selecting.js";
import { Digests } from "./digests.js";
import { Following } from "./polling.js";
import { Form } from "./form.js";
import { ListView } from "./list-view.js";
import { Orders } from "./requests.js";
import { Overview, showButtons } from "./overview.js";
import { Sending } from "./sending.js";
import { post, session } from "./server.js";
import { isFinal, isSendable, isUnbegun, isUnderWay, needsThePage, stepsOf } from "./states.js";
import { bytesText, countText } from "./formatting.js";

const $ = (id) => document.getElementById(id);

class Page {
  #files = new Set();
  #form = new Form($("transfer-form"));
  #expected = null; // The unfinished transfer whose file is being chosen.

  constructor() {
    const addresses = this.#form.element.dataset;
    const changed = (file) => this.#list.touch(file);
    const files = () => this.#files;
    this.#asking = new Asking(this.#form, () => this.#unbegun());
    this.#overview = new Overview(files);
    this.#list = new ListView({
      list: $("file-list"),
      keyOf: (file) => this.#keyOf(file),
      isListed: (file) => this.#files.has(file),
      onShown: () => this.#showRest(),
    });
    const digests = new Digests(addresses.sha256Worker, addresses.sha256Library);
    this.#sending = new Sending({ addresses, digests, changed });
    this.#orders = this.#sending.orders = new Orders({ addresses, sending: this.#sending, changed });
    new Following({ addresses, files, sending: this.#sending, changed });
    this.#listen();
    this.#showForm();
    this.#list.showNow();
  }

  #tick = 0;
  #lastSend = Promise.resolve();
  #wasSignedOut = false;
  #asking;
  #overview;
  #list;
  #sending;
  #orders;

  #listen() {
    const onFiles = (chosen) => this.#choose(chosen);
    offerDialogues($("id_file"), { files: $("choose-files"), folder: $("choose-folder") }, onFiles);
    acceptDrops($("drop-overlay"), onFiles, (problem) => this.#form.showGeneral(`Not everything could be read: ${problem}`));
    this.#form.element.addEventListener("input", (event) => this.#onInput(event.target));
    this.#form.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(() => [...this.#files].filter(isSendable));
    });
    $("files").addEventListener("click", (event) => this.#onClick(event));
    $("file-list").addEventListener("keydown", (event) => this.#onKey(event));
    document.addEventListener("click", (event) => this.#onUnfinished(event.target.closest("[data-unfinished]")));
    window.addEventListener("beforeunload", (event) => {
      if ([...this.#files].some(needsThePage)) event.preventDefault();
    });
    const hurry = () => this.#sending.hurry(this.#files);
    window.addEventListener("online", hurry);
    // Whoever comes back from signing in again does not wait for the next try.
    document.addEventListener("visibilitychange", () => document.hidden || hurry());
  }

  // --- Choosing -----------------------------------------------------------------------------------------------------------

  #choose(chosen) {
    const nameOf = (file, path) => `${path}\0${file.size}\0${file.lastModified}`;
    const present = new Set([...this.#files].filter((each) => !isFinal(each)).map((each) => nameOf(each.file, each.path)));
    const fresh = chosen.filter(([file, path]) => !present.has(nameOf(file, path)));
    const files = fresh.map(([file, path]) => new ChosenFile(file, path));
    this.#meetExpectation(files);
    for (const file of files) this.#files.add(file);
    this.#list.add(files);
    this.#form.clearErrors();
    if (fresh.length < chosen.length) {
      const known = chosen.length - fresh.length;
      $("files-notice").textContent = `${countText(known, "file is", "files are")} in the list already.`;
    } else {
      $("files-notice").textContent = "";
    }
    this.#onSetChanged();
  }

  // What was chosen for an unfinished transfer goes on under its key, if it can be its file.
  #meetExpectation(files) {
    const expected = this.#expected;
    this.#expected = null;
    if (!expected || files.length !== 1) return;
    if (files[0].size === Number(expected.size)) {
      files[0].ownKey = expected.key;
      return;
    }
    const [here, there] = [bytesText(files[0].size), bytesText(Number(expected.size))];
    this.#form.showGeneral(`${files[0].name} is another file: it has ${here}, the unfinished transfer ${there}. It would be a new transfer.`);
  }

  #onUnfinished(button) {
    if (!button) return;
    const { store, bucket, key, size } = button.dataset;
    this.#expected = { key: decodeURIComponent(key), size };
    this.#form.field("store").value = store;
    this.#form.field("bucket").value = bucket;
    this.#showForm();
    $("id_file").click();
  }

  #unbegun() {
    return [...this.#files].filter(isUnbegun);
  }

  #keyOf(file) {
    return this.#form.keyOf(file, this.#unbegun().length === 1);
  }

  // Another number of files, or other fields: keys and what is asked follow.
  #onSetChanged() {
    this.#showForm();
    this.#asking.onFiles();
    this.#touchUnbegun();
  }

  #touchUnbegun() {
    for (const file of this.#unbegun()) this.#list.touch(file);
    this.#list.showSoon();
  }

  #onInput(control) {
    if (control.name !== "replace") this.#form.clearError(control.name);
    this.#showForm();
    this.#asking.onInput(control.name);
    if (["prefix", "key"].includes(control.name)) this.#touchUnbegun();
  }

  #showForm() {
    const unbegun = this.#unbegun();
    const isSeveral = unbegun.length > 1;
    this.#form.field("key").disabled = isSeveral;
    $("several-keys").hidden = !isSeveral;
    $("pasted-digest").hidden = this.#form.verify !== "pasted";
    const key = unbegun.length ? this.#keyOf(unbegun[0]) : this.#form.text("key");
    const shown = isSeveral || !key ? `${this.#form.text("prefix")}…` : key;
    $("key-preview").textContent = `${this.#form.bucket || "…"} / ${shown}`;
  }

  // --- Sending ------------------------------------------------------------------------------------------------------------

  // One after another, so that no click sends what another is just sending.
  #send(pick) {
    this.#lastSend = this.#lastSend.then(() => this.#sendNow(pick()));
  }

  async #sendNow(files) {
    this.#form.clearErrors();
    if (!files.length) return;
    const isSingle = this.#unbegun().length === 1;
    try {
      if (this.#digestIsWrong(files)) return;
      await post(this.#form.element.dataset.check, this.#form.sharedFields(files, isSingle));
      const sent = files.filter((file) => this.#takeOrder(file, isSingle));
      this.#rememberDestination();
      this.#focusAfterSend();
      this.#sending.begin(sent).catch((refusal) => this.#showRefusal(refusal));
    } catch (refusal) {
      this.#showRefusal(refusal);
    }
    this.#onSetChanged();
    this.#list.showNow();
  }

  #digestIsWrong(files) {
    if (this.#form.verify !== "pasted") return false;
    const isHex = /^[0-9a-f]{64}$/i.test(this.#form.text("sha256").trim());
    if (isHex && files.length === 1) return false;
    const words = isHex ? "A digest is of one file: send that file alone." : "A SHA-256 has 64 hexadecimal digits.";
    this.#form.showErrors("Some fields need another value.", { sha256: words });
    return true;
  }

  #showRefusal(refusal) {
    const unreached = "Partway cannot be reached. Nothing was sent; try again in a moment.";
    const signedOut = "Your session has ended. Sign in again, then send again.";
    const words = refusal.status === 0 ? unreached : refusal.status === 401 ? signedOut : refusal.message;
    this.#form.showErrors(words, refusal.fields);
  }

  // Whether its key is its own; the fields are read now, and what is typed later is for other files.
  #takeOrder(file, isSingle) {
    const order = this.#form.orderFor(file, isSingle);
    const holds = (other) => other !== file && other.order && !isUnbegun(other) && !isFinal(other) && sameKey(other.order, order);
    if ([...this.#files].some(holds)) {
      Object.assign(file, { state: "refused", words: "Another file of this list goes to this key." });
      this.#list.touch(file);
      return false;
    }
    file.reset();
    file.order = order;
    file.state = "preparing";
    return true;
  }

  // A reload finds the same destination again, so that the same files go on.
  #rememberDestination() {
    const query = new URLSearchParams({ store: this.#form.store, bucket: this.#form.bucket });
    for (const name of ["prefix", "key"]) if (this.#form.text(name)) query.set(name, this.#form.text(name));
    history.replaceState(null, "", `?${query}`);
  }

  #focusAfterSend() {
    if (document.activeElement === $("send") || document.activeElement === document.body) $("files-title").focus();
  }

  // --- Steps --------------------------------------------------------------------------------------------------------------

  #onClick(event) {
    const button = event.target.closest("button");
    if (!button) return;
    const { step, all } = button.dataset;
    if (all) this.#stepAll(all);
    else if (step) this.#step(step, this.#fileOf(button));
    this.#list.showNow();
    if (all && !button.checkVisibility()) $("files-title").focus();
  }

  #fileOf(element) {
    const { id } = element.closest(".file");
    return [...this.#files].find((file) => file.id === id);
  }

  #step(step, file) {
    file.notice = "";
    if (step === "edit") this.#list.row(file).edit();
    else if (step === "save") this.#saveKey(file);
    else if (step === "keep") this.#list.row(file).takeEdited();
    else if (step === "remove") this.#remove(file);
    else if (step === "cancel" || step === "discard") this.#confirmCancel([file]);
    else if (step === "replace" || step === "again") this.#sendAgain(step, [file]);
    else this.#orders[step](file);
  }

  #stepAll(step) {
    const having = (...steps) => [...this.#files].filter((file) => stepsOf(file).some((each) => steps.includes(each)));
    if (step === "cancel") this.#confirmCancel(having("cancel", "discard"));
    else if (step === "replace") this.#sendAgain(step, having("replace"));
    else if (step === "remove") this.#remove(...this.#unbegun());
    else if (step === "clear") this.#remove(...[...this.#files].filter(isFinal));
    else for (const file of having(step)) this.#step(step, file);
  }

  #sendAgain(step, files) {
    for (const file of files) {
      file.mayReplace ||= step === "replace";
      // What ended keeps its key, whatever the form's fields say by now.
      if (!isUnbegun(file)) file.ownKey = file.order.key;
    }
    this.#send(() => files.filter((file) => stepsOf(file).includes(step)));
  }

  #remove(...files) {
    for (const file of files) {
      this.#sending.stop(file);
      this.#files.delete(file);
      this.#list.remove(file);
    }
    if (!this.#files.size) $("choose-files").focus();
    this.#onSetChanged();
  }

  #confirmCancel(files) {
    const begun = files.filter((file) => file.transferId);
    if (!begun.length) {
      this.#cancel(files);
      return;
    }
    const dialog = $("cancel-dialog");
    $("cancel-what").textContent = files.length === 1 ? files[0].order.key : countText(files.length, "transfer", "transfers");
    dialog.returnValue = "";
    dialog.addEventListener("close", () => dialog.returnValue === "cancel" && this.#cancel(files), { once: true });
    dialog.showModal();
  }

  #cancel(files) {
    for (const file of files) this.#orders.cancel(file);
    this.#list.showNow();
  }

  // --- Editing a key ------------------------------------------------------------------------------------------------------

  #onKey(event) {
    if (!event.target.matches(".file-editing input") || event.isComposing) return;
    const file = this.#fileOf(event.target);
    if (event.key === "Enter") this.#saveKey(file);
    else if (event.key === "Escape") this.#list.row(file).takeEdited();
    else return;
    event.preventDefault();
    this.#list.showNow();
  }

  #saveKey(file) {
    const key = this.#list.row(file).takeEdited();
    if (key === null) return;
    file.ownKey = key || null;
    file.mayReplace = false; // That was said of the other key's object.
    file.reset();
    this.#list.touch(file);
    this.#onSetChanged();
  }

  #showSession() {
    $("signed-out").hidden = !session.hasEnded;
    if (this.#wasSignedOut && !session.hasEnded) this.#sending.hurry(this.#files);
    this.#wasSignedOut = session.hasEnded;
  }

  #showRest() {
    const isEmpty = !this.#files.size;
    $("files-empty").hidden = !isEmpty;
    $("files-chosen").hidden = isEmpty;
    $("choosing").classList.toggle("is-empty", isEmpty);
    this.#overview.show();
    this.#showSession();
    showButtons(this.#files, stepsOf);
    // What stands still is shown to do so.
    clearTimeout(this.#tick);
    if ([...this.#files].some(isUnderWay)) this.#tick = setTimeout(() => this.#list.showNow(), 1000);
  }
}

const sameKey = (one, other) => one.store === other.store && one.bucket === other.bucket && one.key === other.key;

if ($("transfer-form")) {
  $("plain-file").hidden = true;
  $("files").hidden = false;
  new Page();
}
