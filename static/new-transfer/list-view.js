// The list of chosen files: rows are made once and shown again a few times a second, and only those that changed.

import { RowView } from "./row-view.js";

const BETWEEN_SHOWS = 250;
const ROWS_AT_A_TIME = 100; // So that thousands do not freeze the page.

export class ListView {
  #list;
  #keyOf;
  #isListed;
  #rows = new Map();
  #changed = new Set();
  #timer = 0;
  #onShown;

  // `isListed(file)` says whether a file still belongs here. `onShown` is called each time rows were brought up to date.
  constructor({ list, keyOf, isListed, onShown }) {
    this.#list = list;
    this.#keyOf = keyOf;
    this.#isListed = isListed;
    this.#onShown = onShown;
  }

  async add(files) {
    for (let at = 0; at < files.length; at += ROWS_AT_A_TIME) {
      if (at) await new Promise((resolve) => setTimeout(resolve));
      this.#append(files.slice(at, at + ROWS_AT_A_TIME));
    }
  }

  #append(files) {
    const fragment = document.createDocumentFragment();
    // One may have been removed meanwhile.
    for (const file of files.filter((each) => this.#isListed(each))) {
      const row = new RowView(file, this.#keyOf);
      this.#rows.set(file, row);
      row.show();
      fragment.append(row.element);
    }
    this.#list.append(fragment);
    this.#list.classList.toggle("is-long", this.#rows.size > ROWS_AT_A_TIME);
    this.showNow();
  }

  // The focus goes to the next row, else to the one before, so that the keyboard goes on from there.
  remove(file) {
    const element = this.#rows.get(file)?.element;
    if (!element) return;
    const next = element.contains(document.activeElement) && this.#neighbour(element);
    element.remove();
    this.#rows.delete(file);
    this.#changed.delete(file);
    if (next) next.focus();
    this.showSoon();
  }

  #neighbour(element) {
    const neighbour = element.nextElementSibling || element.previousElementSibling;
    return [...this.#rows.values()].find((row) => row.element === neighbour);
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
    for (const file of [...this.#changed].slice(0, ROWS_AT_A_TIME)) {
      this.#changed.delete(file);
      this.#show(file);
    }
    if (this.#changed.size) this.#timer = setTimeout(() => this.showNow());
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
