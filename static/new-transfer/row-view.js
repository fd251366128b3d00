// One row of the list. It is shown again whenever its file has changed, and updates only what differs. Elements that a row
// has only in some of its states are created on demand: a thousand rows would be slow otherwise.

import { bytesText, exactBytesText, fill, percent, percentText, rateText } from "./formatting.js";
import { showKey } from "./keys.js";
import { twinText } from "./same-keys.js";
import { isNotStarted, stepsOf, textOf, toneOf } from "./states.js";

// In the order of the buttons: the label of each step for a file.
const STEPS = {
  takeover: () => gettext("Discard the earlier transfer and send %(file)s"),
  replace: () => gettext("Replace %(file)s"),
  again: () => gettext("Send %(file)s again"),
  retry: () => gettext("Retry %(file)s"),
  pause: () => gettext("Pause %(file)s"),
  resume: () => gettext("Resume %(file)s"),
  cancel: () => gettext("Cancel %(file)s"),
  discard: () => gettext("Discard %(file)s"),
  remove: () => gettext("Remove %(file)s"),
};

const cloneOf = (template) => document.getElementById(template).content.firstElementChild.cloneNode(true);

export class RowView {
  #file;
  #keyOf;
  #typeOf;
  #parts = new Map();
  #shown = new Map();
  #editing = null;
  #legs = null;

  constructor(file, keyOf, typeOf) {
    this.#file = file;
    this.#keyOf = keyOf;
    this.#typeOf = typeOf;
    this.element = this.#take(cloneOf("file-template"));
    this.element.id = file.id;
    this.#part("edit").setAttribute("aria-label", fill(gettext("Edit the key of %(file)s"), { file: file.path }));
    this.#part("size").textContent = bytesText(file.size);
    this.#part("size").title = exactBytesText(file.size);
  }

  show() {
    const file = this.#file;
    this.#showKey(isNotStarted(file) || !file.settings ? this.#keyOf(file) : file.settings.key);
    this.#text("type", this.#typeOf(file) || "");
    this.#showState();
    this.#if("legs", !isNotStarted(file), (on) => this.#makeLegs(on));
    if (this.#legs) this.#showLegs();
    this.#text("detail", this.#detail());
    this.#showMessage();
    this.#text("digest", file.digest ? fill(gettext("SHA-256 %(digest)s"), { digest: file.digest }) : "");
    this.#showSteps(stepsOf(file));
  }

  // Focuses the first visible button.
  focus() {
    [...this.element.querySelectorAll("button")].find((button) => button.checkVisibility())?.focus();
  }

  // --- The key ----------------------------------------------------------------------------------------------------------

  edit() {
    this.#editing = cloneOf("file-editor-template");
    this.#part("key-line").before(this.#editing);
    this.#part("key-line").hidden = true;
    const editor = this.#editing.querySelector("input");
    editor.setAttribute("aria-label", fill(gettext("New key of %(file)s"), { file: this.#file.path }));
    editor.value = this.#keyOf(this.#file);
    editor.focus();
    editor.setSelectionRange(editor.value.lastIndexOf("/") + 1, editor.value.length);
  }

  // Ends the editing and returns the key that was typed; null if the key was not being edited.
  takeEdited() {
    if (!this.#editing) return null;
    const { value } = this.#editing.querySelector("input");
    this.#part("key-line").hidden = false;
    this.#part("edit").focus();
    this.#editing.remove();
    this.#editing = null;
    return value;
  }

  #showKey(key) {
    const { path, page } = this.#file;
    const element = this.#part("key");
    this.#if("key", key, () => showKey(element, key));
    this.#if("path", key.endsWith(path) ? "" : path, (shown) => {
      showKey(this.#part("path"), shown);
      this.#part("path").hidden = !shown;
    });
    this.#if("page", page, () => (page ? element.setAttribute("href", page) : element.removeAttribute("href")));
  }

  // --- State and progress -------------------------------------------------------------------------------------------------

  #showState() {
    const tone = toneOf(this.#file);
    this.#if("state", this.#file.state, (state) => (this.element.dataset.state = state));
    this.#if("tone", tone, () => (this.#part("state").className = `state state-${tone}`));
    this.#text("word", textOf(this.#file));
  }

  #makeLegs(on) {
    this.#legs?.remove();
    this.#legs = on ? this.#take(cloneOf("file-legs-template")) : null;
    if (on) this.#part("what").after(this.#legs);
    this.#shown.delete("received");
    this.#shown.delete("stored");
  }

  #showLegs() {
    const { size, received, stored, isUnsent, state } = this.#file;
    this.#showLeg("received", percent(received || 0, size, !isUnsent));
    this.#showLeg("stored", percent(stored || 0, size, state === "done"));
  }

  #showLeg(name, value) {
    this.#if(name, value, () => {
      this.#part(`${name}-bar`).value = value;
      this.#part(`${name}-percent`).textContent = percentText(value);
    });
  }

  #detail() {
    const { state, size, received, stored, receiveRate, storeRate, isCompleting } = this.#file;
    if (state === "sending") return rateText(receiveRate.perSecond, size - received);
    if (state === "storing" && !isCompleting) return rateText(storeRate.perSecond, size - (stored || 0));
    if (state === "paused" || state === "interrupted")
      return fill(gettext("%(size)s received"), { size: bytesText(received || 0) });
    return "";
  }

  #showMessage() {
    const { message, notice, error, twin, state, inTheWay } = this.#file;
    const recorded = error && error.message !== message ? error.message : "";
    const same = twin && state === "waiting" ? twinText(twin) : "";
    const shown = [message, recorded, notice, same].filter(Boolean).join(" ");
    this.element.classList.toggle("has-twin", Boolean(same));
    this.#if("other", (state === "busy" && inTheWay?.url) || "", (url) => {
      this.#part("other").hidden = !url;
      if (url) this.#part("other").href = url;
    });
    this.#text("words", shown);
    this.#text("code", error?.code || "");
    this.#text("request-id", error?.request_id ? fill(gettext("Request id %(id)s"), { id: error.request_id }) : "");
    this.#if("has message", Boolean(shown), (on) => (this.#part("saying").hidden = !on));
  }

  // Buttons that remain are not replaced: one of them may have the focus.
  #showSteps(steps) {
    this.#if("steps", steps.join(" "), () => {
      this.#part("edit").hidden = !steps.includes("edit");
      const holder = this.#part("steps");
      const shown = Object.keys(STEPS).filter((step) => steps.includes(step));
      for (const button of [...holder.children]) if (!shown.includes(button.dataset.step)) button.remove();
      shown.forEach((step, place) => {
        const present = holder.children[place];
        if (present?.dataset.step !== step) holder.insertBefore(this.#newButton(step), present || null);
      });
    });
  }

  #newButton(step) {
    const buttons = document.getElementById("file-steps-template").content;
    const button = buttons.querySelector(`[data-step=${step}]`).cloneNode(true);
    button.setAttribute("aria-label", fill(STEPS[step](), { file: this.#file.path }));
    return button;
  }

  // --- Updating only what differs -----------------------------------------------------------------------------------------

  #take(element) {
    for (const each of element.querySelectorAll("[data-part]")) this.#parts.set(each.dataset.part, each);
    return element;
  }

  #part(name) {
    return this.#parts.get(name);
  }

  #text(name, text) {
    this.#if(name, text, () => {
      this.#part(name).textContent = text;
      this.#part(name).hidden = !text;
    });
  }

  #if(name, value, apply) {
    if (this.#shown.get(name) === value) return;
    this.#shown.set(name, value);
    apply(value);
  }
}
