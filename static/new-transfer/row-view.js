// One row of the list. It is shown again whenever its file changed, and touches only what is different then.

import { isUnbegun, stateOf, stepsOf, wordOf } from "./states.js";
import { bytesText, paceText, percent } from "./words.js";

const LABELS = {
  pause: "Pause",
  resume: "Resume",
  retry: "Retry",
  again: "Send again",
  replace: "Replace",
  edit: "Edit the key of",
  cancel: "Cancel",
  discard: "Discard",
  remove: "Remove",
};

export class RowView {
  #file;
  #keyOf;
  #parts;
  #shown = new Map();

  constructor(template, file, keyOf) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.id = file.id;
    this.#file = file;
    this.#keyOf = keyOf;
    this.#parts = new Map([...this.element.querySelectorAll("[data-part]")].map((each) => [each.dataset.part, each]));
    for (const [step, label] of Object.entries(LABELS)) this.#button(step).setAttribute("aria-label", `${label} ${file.path}`);
    this.#part("editor").setAttribute("aria-label", `Key of ${file.path}`);
    this.#part("size").textContent = bytesText(file.size);
    this.#part("size").title = `${file.size.toLocaleString("en")} bytes`;
  }

  show() {
    const file = this.#file;
    this.#showKey(isUnbegun(file) || !file.order ? this.#keyOf(file) : file.order.key);
    this.#showState();
    this.#showLegs();
    this.#text("detail", this.#detail());
    this.#showWords();
    this.#text("digest", file.digest ? `SHA-256 ${file.digest}` : "");
    const steps = stepsOf(file);
    for (const step of Object.keys(LABELS)) this.#if(`step ${step}`, steps.includes(step), (on) => (this.#button(step).hidden = !on));
  }

  // --- The key ----------------------------------------------------------------------------------------------------------

  edit() {
    const editor = this.#part("editor");
    editor.value = this.#keyOf(this.#file);
    this.#showEditor(true);
    editor.focus();
    const name = editor.value.lastIndexOf("/") + 1;
    editor.setSelectionRange(name, editor.value.length);
  }

  // The key that was typed; null where the editor is not open. Closes it.
  takeEdited() {
    if (this.#part("editing").hidden) return null;
    this.#showEditor(false);
    this.#button("edit").focus();
    return this.#part("editor").value;
  }

  #showEditor(on) {
    this.#part("editing").hidden = !on;
    this.#part("key-line").hidden = on;
  }

  #showKey(key) {
    this.#if("key", key, () => (this.#part("key").textContent = key));
    const { path } = this.#file;
    this.#text("path", key.endsWith(path) ? "" : path);
    this.#if("page", this.#file.page, (page) => page && this.#part("key").setAttribute("href", page));
    this.#if("is page", Boolean(this.#file.page), (on) => on || this.#part("key").removeAttribute("href"));
  }

  // --- State and progress -------------------------------------------------------------------------------------------------

  #showState() {
    const { tone } = stateOf(this.#file);
    this.#if("state", this.#file.state, (state) => (this.element.dataset.state = state));
    this.#if("tone", tone, () => (this.#part("state").className = `state state-${tone}`));
    this.#text("word", wordOf(this.#file));
  }

  #showLegs() {
    const { size, received, stored, isUnsent, state } = this.#file;
    this.#if("legs", isUnbegun(this.#file), (off) => (this.#part("legs").hidden = off));
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

  // --- Touching only what is different ------------------------------------------------------------------------------------

  #part(name) {
    return this.#parts.get(name);
  }

  #button(step) {
    return this.#part(`step-${step}`);
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
