// The selected files, in the order of the list.

export class FileSet {
  #files = new Map();

  add(file) {
    this.#files.set(file.id, file);
  }

  delete(file) {
    this.#files.delete(file.id);
  }

  has(file) {
    return this.#files.has(file.id);
  }

  byId(id) {
    return this.#files.get(id);
  }

  get size() {
    return this.#files.size;
  }

  [Symbol.iterator]() {
    return this.#files.values();
  }
}
