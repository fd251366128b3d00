// The card of unfinished transfers: those whose files are not in the list. A file that is in the list has its row there.

import { isFinal, isNotStarted } from "./states.js";

const nameOf = ({ store, bucket, key }, size) => JSON.stringify([store, bucket, key, Number(size)]);

export class Unfinished {
  #card = document.querySelector(".unfinished");
  #rows = new Map();
  #destinationOf;

  // `destinationOf(file)`: the store, the bucket and the key of a file that is not started.
  constructor(destinationOf) {
    this.#destinationOf = destinationOf;
    for (const button of this.#card?.querySelectorAll("[data-unfinished]") || []) {
      const { key, size, ...place } = button.dataset;
      this.#rows.set(nameOf({ ...place, key: decodeURIComponent(key) }, size), button.closest("li"));
    }
  }

  show(files) {
    if (!this.#rows.size) return;
    const inList = new Set();
    for (const file of files) {
      const name = nameOf(isNotStarted(file) || !file.settings ? this.#destinationOf(file) : file.settings, file.size);
      inList.add(name);
      // It stays away when the finished file is cleared from the list.
      if (isFinal(file)) this.#remove(name);
    }
    for (const [name, row] of this.#rows) row.hidden = inList.has(name);
    this.#card.hidden = [...this.#rows.values()].every((row) => row.hidden);
  }

  #remove(name) {
    this.#rows.get(name)?.remove();
    this.#rows.delete(name);
    this.#card.hidden = !this.#rows.size;
  }
}
