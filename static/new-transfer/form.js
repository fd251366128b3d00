// The form: the values of its fields, the key of each file, and the messages at the fields.

import { openOptions } from "./options.js";

const SHARED = ["content-type", "storage-class", "metadata", "part-size", "part-count"];
const SEEN = ["replace-etag", "replace-size", "replace-modified"];

export class Form {
  constructor(element) {
    this.element = element;
  }

  field(name) {
    return this.element.elements.namedItem(name);
  }

  text(name) {
    const field = this.field(name);
    return field ? field.value : "";
  }

  get store() {
    return this.text("store");
  }

  get bucket() {
    return this.text("bucket").trim();
  }

  get mayReplace() {
    return Boolean(this.field("replace")?.checked);
  }

  get verify() {
    return this.text("verify");
  }

  // The key field has the whole key of a single file. Several files have the prefix and their own paths.
  keyOf(file, isSingle) {
    if (file.ownKey !== null) return file.ownKey;
    return (isSingle && this.text("key")) || this.text("prefix") + file.path;
  }

  // Where and how files are sent, by the current values of the fields: a function of the file. The server has defaults for
  // empty fields.
  settings(isSingle) {
    const { store, bucket, mayReplace, verify } = this;
    const shared = {};
    for (const name of SHARED) if (this.text(name).trim()) shared[name] = this.text(name);
    if (verify === "sha256") shared.verify = "sha256";
    if (verify === "pasted") shared.sha256 = this.text("sha256").trim().toLowerCase();
    return (file) => {
      const key = this.keyOf(file, isSingle);
      const metadata = { store, bucket, key, filename: file.name, ...shared };
      if (mayReplace || file.mayReplace) metadata.replace = "on";
      // The object that the form has shown. Without it, the server looks when the transfer starts: the row has named
      // another object, and replacing that one was confirmed there.
      if (mayReplace && isSingle && !file.mayReplace)
        for (const name of SEEN) if (this.text(name)) metadata[name] = this.text(name);
      if (file.discard) metadata.discard = file.discard;
      return { key, store, bucket, isComputing: verify === "sha256", metadata };
    };
  }

  // The destination of a file that is not started.
  destinationOf(file, isSingle) {
    return { store: this.store, bucket: this.bucket, key: this.keyOf(file, isSingle) };
  }

  // The fields that all files share, as the server checks them before a byte is sent.
  sharedFields(files, isSingle) {
    const largest = files.reduce((largest, file) => (file.size > largest.size ? file : largest));
    const fields = new FormData(this.element);
    for (const name of ["file", "replace", "key", "discard"]) fields.delete(name);
    if (this.verify !== "sha256") fields.delete("verify");
    if (this.verify !== "pasted") fields.delete("sha256");
    fields.set("key", isSingle ? this.keyOf(largest, true) : `${this.text("prefix")}any`);
    fields.set("filename", largest.name);
    fields.set("size", largest.size);
    fields.set("replace", "on"); // The object at each key is checked when its file is sent.
    return fields;
  }

  // --- Messages ---------------------------------------------------------------------------------------------------------

  clearError(name) {
    const control = this.#control(name);
    if (!control) return;
    control.removeAttribute("aria-invalid");
    document.getElementById(`${control.id}_error`)?.remove();
  }

  clearErrors() {
    document.getElementById("form-errors").replaceChildren();
    for (const control of [...this.element.elements]) this.clearError(control.name);
  }

  // Each message is shown at its field, the others above the form; the first of these fields is focused.
  showErrors(message, fields = {}) {
    const unplaced = [];
    let first = null;
    openOptions(Object.keys(fields || {}).map((name) => this.field(name)));
    for (const [name, text] of Object.entries(fields || {})) {
      const control = this.#control(name);
      if (control) this.#showAt(control, text);
      else unplaced.push(text);
      first ||= control;
    }
    this.showGeneral(unplaced.join(" ") || message);
    const target = first || document.getElementById("form-errors");
    target.focus();
    target.scrollIntoView({ block: "center" });
  }

  showGeneral(message) {
    const alert = document.createElement("div");
    const text = document.createElement("div");
    alert.className = "alert alert-danger";
    text.textContent = message;
    alert.append(text);
    document.getElementById("form-errors").replaceChildren(alert);
  }

  #control(name) {
    const control = name && this.field(name);
    return control && control.id && control.type !== "hidden" && control.checkVisibility() ? control : null;
  }

  #showAt(control, text) {
    const id = `${control.id}_error`;
    const element = document.getElementById(id) || document.createElement("div");
    element.className = "field-error";
    element.id = id;
    element.textContent = text;
    (control.closest(".form-check") || control).insertAdjacentElement("afterend", element);
    const described = (control.getAttribute("aria-describedby") || "").split(" ").filter((each) => each && each !== id);
    control.setAttribute("aria-describedby", [...described, id].join(" "));
    control.setAttribute("aria-invalid", "true");
  }
}
