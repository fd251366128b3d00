// The page of a new transfer. Without scripts, its form sends a single file.

import { Digests } from "./digests.js";
import { bytesText, fill } from "./formatting.js";
import { Form } from "./form.js";
import { ListView } from "./list-view.js";
import { Lookups } from "./lookups.js";
import { Overview, showButtons } from "./overview.js";
import { Polling } from "./polling.js";
import { Requests } from "./requests.js";
import { SelectedFile } from "./selected-file.js";
import { acceptDrops, offerDialogs } from "./selecting.js";
import { Sending } from "./sending.js";
import { session } from "./server.js";
import { isFinal, isInProgress, isNotStarted, isSendable, needsThePage, stepsOf } from "./states.js";
import { Steps } from "./steps.js";
import { Submission } from "./submission.js";

const $ = (id) => document.getElementById(id);

class Page {
  #files = new Set();
  #form = new Form($("transfer-form"));
  #expected = null; // The unfinished transfer whose file is being selected.
  #tick = 0;
  #wasSignedOut = false;
  #lookups;
  #overview;
  #list;
  #sending;
  #submission;
  #steps;

  constructor() {
    const addresses = this.#form.element.dataset;
    const [form, files] = [this.#form, this.#files];
    const changed = (file) => this.#list.touch(file);
    const onSetChanged = () => this.#onSetChanged();
    this.#lookups = new Lookups(form, () => this.#notStarted());
    this.#overview = new Overview(() => files);
    const list = (this.#list = new ListView({
      list: $("file-list"),
      keyOf: (file) => this.#keyOf(file),
      isListed: (file) => files.has(file),
      onShown: () => this.#showRest(),
    }));
    const digests = new Digests(addresses.sha256Worker, addresses.sha256Library);
    const sending = (this.#sending = new Sending({ addresses, digests, changed }));
    const requests = (sending.requests = new Requests({ addresses, sending, changed }));
    const submission = (this.#submission = new Submission({ files, form, list, sending, onSetChanged }));
    this.#steps = new Steps({ files, list, sending, requests, submission, onSetChanged });
    new Polling({ addresses, files: () => files, sending, changed });
    this.#listen();
    this.#showForm();
    list.showNow();
  }

  #listen() {
    const onFiles = (selected) => this.#select(selected);
    offerDialogs($("id_file"), { files: $("choose-files"), folder: $("choose-folder") }, onFiles);
    acceptDrops($("drop-overlay"), onFiles, (problem) => this.#showUnreadable(problem));
    this.#form.element.addEventListener("input", (event) => this.#onInput(event.target));
    this.#form.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submission.send(() => [...this.#files].filter(isSendable));
    });
    $("files").addEventListener("click", (event) => this.#steps.onClick(event));
    $("file-list").addEventListener("keydown", (event) => this.#steps.onKey(event));
    document.addEventListener("click", (event) => this.#onUnfinished(event.target.closest("[data-unfinished]")));
    window.addEventListener("beforeunload", (event) => {
      if ([...this.#files].some(needsThePage)) event.preventDefault();
    });
    const hurry = () => this.#sending.hurry(this.#files);
    window.addEventListener("online", hurry);
    // After signing in again in another tab, sending resumes at once.
    document.addEventListener("visibilitychange", () => document.hidden || hurry());
  }

  // --- Selecting files ----------------------------------------------------------------------------------------------------

  #select(selected) {
    const nameOf = (file, path) => `${path}\0${file.size}\0${file.lastModified}`;
    const present = new Set([...this.#files].filter((each) => !isFinal(each)).map((each) => nameOf(each.file, each.path)));
    const fresh = selected.filter(([file, path]) => !present.has(nameOf(file, path)));
    const files = fresh.map(([file, path]) => new SelectedFile(file, path));
    this.#applyExpectedFile(files);
    for (const file of files) this.#files.add(file);
    this.#list.add(files);
    this.#form.clearErrors();
    $("files-notice").textContent = knownText(selected.length - fresh.length);
    this.#onSetChanged();
  }

  #showUnreadable(problem) {
    this.#form.showGeneral(fill(gettext("Some files could not be read: %(problem)s"), { problem }));
  }

  // A file that was selected for an unfinished transfer gets the transfer's key, if it has the same size.
  #applyExpectedFile(files) {
    const expected = this.#expected;
    this.#expected = null;
    if (!expected || files.length !== 1) return;
    const [file] = files;
    const size = Number(expected.size);
    if (file.size === size) {
      file.ownKey = expected.key;
      return;
    }
    const text = gettext(
      "%(file)s is a different file: its size is %(size)s, and the size of the unfinished transfer is %(expected)s. " +
        "Sending it starts a new transfer.",
    );
    this.#form.showGeneral(fill(text, { file: file.name, size: bytesText(file.size), expected: bytesText(size) }));
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

  // --- The form -----------------------------------------------------------------------------------------------------------

  #notStarted() {
    return [...this.#files].filter(isNotStarted);
  }

  #keyOf(file) {
    return this.#form.keyOf(file, this.#notStarted().length === 1);
  }

  // After a change of the number of files or of the fields, keys and lookups are updated.
  #onSetChanged() {
    this.#showForm();
    this.#lookups.onFiles();
    this.#touchNotStarted();
  }

  #touchNotStarted() {
    for (const file of this.#notStarted()) this.#list.touch(file);
    this.#list.showSoon();
  }

  #onInput(control) {
    if (control.name !== "replace") this.#form.clearError(control.name);
    this.#showForm();
    this.#lookups.onInput(control.name);
    if (["prefix", "key"].includes(control.name)) this.#touchNotStarted();
  }

  #showForm() {
    const notStarted = this.#notStarted();
    const isSeveral = notStarted.length > 1;
    this.#form.field("key").disabled = isSeveral;
    $("several-keys").hidden = !isSeveral;
    $("pasted-digest").hidden = this.#form.verify !== "pasted";
    const key = notStarted.length ? this.#keyOf(notStarted[0]) : this.#form.text("key");
    const shown = isSeveral || !key ? `${this.#form.text("prefix")}…` : key;
    $("key-preview").textContent = `${this.#form.bucket || "…"} / ${shown}`;
  }

  // --- What depends on all files ------------------------------------------------------------------------------------------

  #showSession() {
    $("signed-out").hidden = !session.hasEnded;
    showNotice($("proxy-problem"), session.proxyText);
    showNotice($("proxy-ways"), waysText(this.#sending.ways));
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
    // Rates decrease while nothing moves, so they are shown again every second.
    clearTimeout(this.#tick);
    if ([...this.#files].some(isInProgress)) this.#tick = setTimeout(() => this.#list.showNow(), 1000);
  }
}

function showNotice(element, text) {
  element.hidden = !text;
  element.lastElementChild.textContent = text;
}

// How sending has adapted to proxies, and what an operator can change.
function waysText({ overridden, limit }) {
  const texts = [];
  if (overridden.size) {
    const text = gettext("A proxy in front of Partway blocks %(methods)s. Files are sent with POST instead.");
    texts.push(fill(text, { methods: [...overridden].sort().join(", ") }));
  }
  if (limit !== Infinity) {
    const text = gettext(
      "A proxy in front of Partway refuses requests of %(size)s. Files are sent in smaller requests, which is slower: raise " +
        "its limit for request bodies (nginx: client_max_body_size).",
    );
    texts.push(fill(text, { size: bytesText(limit) }));
  }
  return texts.join(" ");
}

function knownText(count) {
  if (!count) return "";
  const text = ngettext("%(count)s file is already in the list.", "%(count)s files are already in the list.", count);
  return fill(text, { count });
}

if ($("transfer-form")) {
  $("plain-file").hidden = true;
  $("files").hidden = false;
  new Page();
}
