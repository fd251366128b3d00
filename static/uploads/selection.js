// The uploads that are selected on the pages of one listing. They are kept in the tab, so that they survive paging, a reload, and
// pages in between. What cannot be kept is forgotten: then the selection is that of the page.

export class Selection {
  #key;
  #values;

  // `path` is that of the listing.
  constructor(path) {
    this.#key = `partway:selected:${path}`;
    this.load();
  }

  load() {
    try {
      this.#values = new Set(JSON.parse(sessionStorage.getItem(this.#key) || "[]"));
    } catch {
      this.#values = new Set();
    }
  }

  get values() {
    return [...this.#values];
  }

  get size() {
    return this.#values.size;
  }

  has(value) {
    return this.#values.has(value);
  }

  set(value, isSelected) {
    if (isSelected) this.#values.add(value);
    else this.#values.delete(value);
  }

  clear() {
    this.#values.clear();
    this.save();
  }

  save() {
    try {
      if (this.size) sessionStorage.setItem(this.#key, JSON.stringify(this.values));
      else sessionStorage.removeItem(this.#key);
    } catch {
      // The storage is full or not allowed.
    }
  }
}
