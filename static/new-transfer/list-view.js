// The list of selected files. Rows are created once; those that have changed are updated a few times a second.

import { RowView } from "./row-view.js";

const BETWEEN_SHOWS = 250;
const ROWS_AT_A_TIME = 100; // So that thousands of rows do not freeze the page.

export class ListView {
  #list;
  #keyOf;
  #isListed;
  #rows = new Map();
  #changed = new Set();
  #timer = 0;
  #onShown;

  // `isListed(file)` tells whether a file is still in the list. `onShown` is called after each update.
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
    // A file may have been removed in the meantime.
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

  // The focus moves to the next row, otherwise to the previous one, so that keyboard users keep their place.
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
    const focused = row.element.contains(document.activeElement) ? document.activeElement : null;
    row.show();
    // If the focused button has disappeared, another one of the row gets the focus.
    if (focused && !focused.checkVisibility()) row.focus();
  }
}
