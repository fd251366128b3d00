// The content type that a file gets by its name: by the table of the server (dashboard/transfers/parsing.py), not by that of
// this machine.

const DEFAULT = "application/octet-stream";

export class ContentTypes {
  #types = null;

  constructor(url, onLoaded) {
    fetch(url)
      .then((response) => response.json())
      .then((types) => {
        this.#types = types;
        onLoaded();
      })
      .catch(() => {}); // The types are then not shown; the server knows them.
  }

  of(name) {
    const extension = /[^.].*\.([^.]*)$/s.exec(name)?.[1];
    return this.#types && ((extension && this.#types[extension.toLowerCase()]) || DEFAULT);
  }
}
