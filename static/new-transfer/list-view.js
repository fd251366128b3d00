// The list of chosen files: rows are made once and shown again a few times a second, and only those that changed.

import { RowView } from "./row-view.js";

const BETWEEN_SHOWS = 250;

export class ListView {
  #list;
  #keyOf;
  #rows = new Map();
  #changed = new Set();
  #timer = 0;
  #onShown;

  // `onShown` is called after each time the rows were brought up to date.
  constructor({ list, keyOf, onShown }) {
    this.#list = list;
    this.#keyOf = keyOf;
    this.#onShown = onShown;
  }

  add(files) {
    const fragment = document.createDocumentFragment();
    for (const file of files) {
      const row = new RowView(file, this.#keyOf);
      this.#rows.set(file, row);
      row.show();
      fragment.append(row.element);
    }
    this.#list.append(fragment);
    this.showNow();
  }

  // The focus goes to the next row, else to the one before, so that the keyboard goes on from there.
  remove(file) {
    const { element } = this.#rows.get(file);
    const hadFocus = element.contains(document.activeElement);
    const neighbour = element.nextElementSibling || element.previousElementSibling;
    const next = [...this.#rows.values()].find((row) => row.element === neighbour);
    element.remove();
    this.#rows.delete(file);
    this.#changed.delete(file);
    if (hadFocus) next?.focus();
    this.showSoon();
  }

  row(file) {
    return this.#rows.get(file);
  }

  touch(file) {
    this.#changed.add(file);
    this.showSoon();
  }

  showSoon() {
    this.#timer ||= setTimeout(() => this.showNow(), BETWEEN_SHOWS);
  }

  showNow() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    for (const file of this.#changed) this.#show(file);
    this.#changed.clear();
    this.#onShown();
  }

  #show(file) {
    const row = this.#rows.get(file);
    if (!row) return;
    const had = row.element.contains(document.activeElement) ? document.activeElement : null;
    row.show();
    // A button that went while it had the focus hands it on.
    if (had && !had.checkVisibility()) row.focus();
  }
}
