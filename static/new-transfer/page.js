// The page of a new transfer. Without scripts, its form sends a single file.

import { areSame } from "./comparing.js";
import { ContentTypes } from "./content-types.js";
import { Digests } from "./digests.js";
import { acceptDrops } from "./dropping.js";
import { FileSet } from "./file-set.js";
import { bytesText, fill } from "./formatting.js";
import { Form } from "./form.js";
import { showKey } from "./keys.js";
import { LeftOut } from "./left-out.js";
import { ListView } from "./list-view.js";
import { Lookups } from "./lookups.js";
import { showOptions } from "./options.js";
import { Overview, showButtons } from "./overview.js";
import { Polling } from "./polling.js";
import { Requests } from "./requests.js";
import { noteTwins } from "./same-keys.js";
import { SelectedFile } from "./selected-file.js";
import { offerDialogs } from "./selecting.js";
import { Sending } from "./sending.js";
import { session } from "./server.js";
import { isFinal, isNotStarted, isSendable, needsThePage } from "./states.js";
import { Steps } from "./steps.js";
import { Submission } from "./submission.js";
import { tallyOf } from "./tally.js";
import { Unfinished } from "./unfinished.js";

const $ = (id) => document.getElementById(id);

class Page {
  #files = new FileSet();
  #form = new Form($("transfer-form"));
  #expected = null; // The unfinished transfer whose file is being selected.
  #tick = 0;
  #wasSignedOut = false;
  #isSingle = false; // One file is not started yet: the field of the key is for it.
  #selecting = Promise.resolve();
  #known = 0;
  #ended = 0;
  #leftOut = new LeftOut();
  #types;
  #lookups;
  #overview = new Overview();
  #unfinished = new Unfinished((file) => this.#form.destinationOf(file, this.#isSingle));
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
    const list = (this.#list = new ListView({
      list: $("file-list"),
      pager: $("files-pager"),
      filter: $("files-filter"),
      files,
      keyOf: (file) => this.#keyOf(file),
      typeOf: (file) => this.#typeOf(file),
      onShown: () => this.#showRest(),
    }));
    this.#types = new ContentTypes(addresses.contentTypes, () => list.touchAll());
    const digests = new Digests(addresses.sha256Worker, [addresses.sha256Library, addresses.crc64Library]);
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
    const onLeftOut = (...facts) => this.#leftOut.add(...facts);
    offerDialogs($("id_file"), { files: $("choose-files"), folder: $("choose-folder") }, onFiles);
    acceptDrops($("drop-overlay"), onFiles, onLeftOut);
    $("same-keys-show").addEventListener("click", () => this.#list.showAttention());
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

  // One selection after another, so that each is compared with all before it.
  #select(selected) {
    this.#known = 0;
    $("files-notice").textContent = "";
    this.#selecting = this.#selecting.then(() => this.#selectNow(selected));
  }

  async #selectNow(selected) {
    const nameOf = (file, path) => `${path}\0${file.size}\0${file.lastModified}`;
    const present = new Map([...this.#files].filter((each) => !isFinal(each)).map((each) => [nameOf(each.file, each.path), each.file]));
    const [fresh, doubtful] = [[], []];
    for (const [file, path] of selected) {
      const name = nameOf(file, path);
      (present.has(name) ? doubtful : fresh).push([file, path, present.get(name)]);
      if (!present.has(name)) present.set(name, file);
    }
    this.#add(fresh);
    // The same name, size and date do not make it the same file.
    const others = [];
    for (const [file, path, twin] of doubtful) {
      if (await areSame(file, twin)) this.#known += 1;
      else others.push([file, path]);
    }
    this.#add(others);
    $("files-notice").textContent = knownText(this.#known);
  }

  #add(selected) {
    if (!selected.length) return;
    const files = selected.map(([file, path]) => new SelectedFile(file, path));
    this.#applyExpectedFile(files);
    for (const file of files) this.#files.add(file);
    this.#form.clearErrors();
    this.#list.move();
    this.#onSetChanged();
    this.#list.showNow();
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
    return this.#form.keyOf(file, this.#isSingle);
  }

  // What is typed, or the type that the server gives to the name.
  #typeOf(file) {
    if (file.settings && !isNotStarted(file)) return file.settings.metadata["content-type"] || this.#types.of(file.name);
    return this.#form.text("content-type").trim() || this.#types.of(file.name);
  }

  // After a change of the number of files or of the fields, keys and lookups are updated.
  #onSetChanged() {
    this.#showForm();
    this.#lookups.onFiles();
    this.#updateKeys();
  }

  #updateKeys() {
    noteTwins(this.#files, (file) => this.#form.destinationOf(file, this.#isSingle));
    this.#list.touchAll();
  }

  #onInput(control) {
    if (control.name !== "replace") this.#form.clearError(control.name);
    this.#showForm();
    this.#lookups.onInput(control.name);
    if (["store", "bucket", "prefix", "key"].includes(control.name)) this.#updateKeys();
    if (control.name === "content-type") this.#list.touchAll();
  }

  #showForm() {
    const notStarted = this.#notStarted();
    const isSeveral = notStarted.length > 1;
    this.#isSingle = notStarted.length === 1;
    this.#form.field("key").disabled = isSeveral;
    $("several-keys").hidden = !isSeveral;
    $("pasted-digest").hidden = this.#form.verify !== "pasted";
    showOptions(this.#form);
    const key = notStarted.length ? this.#keyOf(notStarted[0]) : this.#form.text("key");
    const shown = isSeveral || !key ? `${this.#form.text("prefix")}…` : key;
    showKey($("key-preview"), `${this.#form.bucket || "…"} / ${shown}`);
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
    $("files").hidden = isEmpty;
    $("choosing").classList.toggle("is-empty", isEmpty);
    const tally = tallyOf(this.#files);
    // A file may have returned to the ones that are not started.
    if (this.#isSingle !== (tally.notStarted === 1)) this.#onSetChanged();
    // A file that has ended does not need its key any more.
    if (tally.sameKeys && tally.final !== this.#ended) this.#updateKeys();
    this.#ended = tally.final;
    this.#overview.show(tally);
    this.#unfinished.show(this.#files);
    this.#showSession();
    showButtons(tally);
    // Rates decrease while nothing moves, so they are shown again every second.
    clearTimeout(this.#tick);
    if (tally.inProgress) this.#tick = setTimeout(() => this.#list.showNow(), 1000);
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
  $("choose").hidden = false;
  new Page();
}
