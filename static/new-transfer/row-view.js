// One row of the list. It is shown again whenever its file changed, and touches only what is different then. What a row
// has in some of its states only is made when it is needed: a thousand rows would be slow with all of it.

import { isUnbegun, stateOf, stepsOf, wordOf } from "./states.js";
import { bytesText, paceText, percent } from "./formatting.js";

// In the order of the buttons.
const STEPS = {
  replace: "Replace",
  again: "Send again",
  retry: "Retry",
  pause: "Pause",
  resume: "Resume",
  cancel: "Cancel",
  discard: "Discard",
  remove: "Remove",
};

const made = (template) => document.getElementById(template).content.firstElementChild.cloneNode(true);

export class RowView {
  #file;
  #keyOf;
  #parts = new Map();
  #shown = new Map();
  #editing = null;
  #legs = null;

  constructor(file, keyOf) {
    this.#file = file;
    this.#keyOf = keyOf;
    this.element = this.#take(made("file-template"));
    this.element.id = file.id;
    this.#part("edit").setAttribute("aria-label", `Edit the key of ${file.path}`);
    this.#part("size").textContent = bytesText(file.size);
    this.#part("size").title = `${file.size.toLocaleString("en")} bytes`;
  }

  show() {
    const file = this.#file;
    this.#showKey(isUnbegun(file) || !file.order ? this.#keyOf(file) : file.order.key);
    this.#showState();
    this.#if("legs", !isUnbegun(file), (on) => this.#makeLegs(on));
    if (this.#legs) this.#showLegs();
    this.#text("detail", this.#detail());
    this.#showWords();
    this.#text("digest", file.digest ? `SHA-256 ${file.digest}` : "");
    this.#showSteps(stepsOf(file));
  }

  // The first button that can be pressed takes the focus.
  focus() {
    [...this.element.querySelectorAll("button")].find((button) => button.checkVisibility())?.focus();
  }

  // --- The key ----------------------------------------------------------------------------------------------------------

  edit() {
    this.#editing = made("file-editor-template");
    this.#part("key-line").before(this.#editing);
    this.#part("key-line").hidden = true;
    const editor = this.#editing.querySelector("input");
    editor.setAttribute("aria-label", `New key of ${this.#file.path}`);
    editor.value = this.#keyOf(this.#file);
    editor.focus();
    editor.setSelectionRange(editor.value.lastIndexOf("/") + 1, editor.value.length);
  }

  // The key that was typed; null where it is not being edited. Ends that.
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
    this.#if("key", key, () => (element.textContent = element.title = key));
    this.#text("path", key.endsWith(path) ? "" : path);
    this.#if("page", page, () => (page ? element.setAttribute("href", page) : element.removeAttribute("href")));
  }

  // --- State and progress -------------------------------------------------------------------------------------------------

  #showState() {
    const { tone } = stateOf(this.#file);
    this.#if("state", this.#file.state, (state) => (this.element.dataset.state = state));
    this.#if("tone", tone, () => (this.#part("state").className = `state state-${tone}`));
    this.#text("word", wordOf(this.#file));
  }

  #makeLegs(on) {
    this.#legs?.remove();
    this.#legs = on ? this.#take(made("file-legs-template")) : null;
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
      this.#part(`${name}-percent`).textContent = `${value} %`;
    });
  }

  #detail() {
    const { state, size, received, stored, receiveRate, storeRate, isCompleting } = this.#file;
    if (state === "sending") return paceText(receiveRate.perSecond, size - received);
    if (state === "storing" && !isCompleting) return paceText(storeRate.perSecond, size - (stored || 0));
    if (state === "paused" || state === "held") return `${bytesText(received || 0)} are here`;
    return "";
  }

  #showWords() {
    const { words, notice, error } = this.#file;
    const said = [words, error && error.message !== words ? error.message : "", notice].filter(Boolean).join(" ");
    this.#text("words", said);
    this.#text("code", error?.code || "");
    this.#text("request-id", error?.request_id ? `Request id ${error.request_id}` : "");
    this.#if("has words", Boolean(said), (on) => (this.#part("saying").hidden = !on));
  }

  // Buttons that stay are not touched: one of them may have the focus.
  #showSteps(steps) {
    this.#if("steps", steps.join(" "), () => {
      this.#part("edit").hidden = !steps.includes("edit");
      const holder = this.#part("steps");
      const wanted = Object.keys(STEPS).filter((step) => steps.includes(step));
      for (const button of [...holder.children]) if (!wanted.includes(button.dataset.step)) button.remove();
      wanted.forEach((step, place) => {
        const present = holder.children[place];
        if (present?.dataset.step !== step) holder.insertBefore(this.#madeButton(step), present || null);
      });
    });
  }

  #madeButton(step) {
    const buttons = document.getElementById("file-steps-template").content;
    const button = buttons.querySelector(`[data-step=${step}]`).cloneNode(true);
    button.setAttribute("aria-label", `${STEPS[step]} ${this.#file.path}`);
    return button;
  }

  // --- Touching only what is different ------------------------------------------------------------------------------------

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
