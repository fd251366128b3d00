// What the form asks the server while it is filled in: how a file would be cut, and what its key holds now.

const PLAN_DELAY = 250;
const EXISTING_DELAY = 450;

export class Asking {
  #form;
  #askPlan;
  #askExisting;

  // `chosen()` gives the files that are not begun yet.
  constructor(form, chosen) {
    this.#form = form;
    const { plan, existing } = form.element.dataset;
    this.#askPlan = asker("plan", PLAN_DELAY, () => `${plan}?${this.#planQuery(chosen())}`);
    this.#askExisting = asker("existing", EXISTING_DELAY, () => `${existing}?${this.#existingQuery(chosen())}`);
  }

  onInput(name) {
    if (["store", "part-size", "part-count"].includes(name)) this.#askPlan();
    if (["store", "bucket", "prefix", "key"].includes(name)) this.#askExisting();
  }

  onFiles() {
    this.#askPlan();
    this.#askExisting();
  }

  // The largest file meets the limits first.
  #planQuery(files) {
    const query = new URLSearchParams({ store: this.#form.store });
    if (files.length) query.set("size", Math.max(...files.map((file) => file.size)));
    for (const name of ["part-size", "part-count"]) query.set(name, this.#form.text(name));
    return query;
  }

  // Of several files, each is asked for when it is sent.
  #existingQuery(files) {
    const key = files.length > 1 ? "" : files.length ? this.#form.keyOf(files[0], true) : this.#form.text("key");
    return new URLSearchParams({ store: this.#form.store, bucket: this.#form.bucket, key });
  }
}

// Ask for a fragment a moment after the last change; an answer that was overtaken is dropped.
function asker(target, delay, address) {
  let timer = 0;
  let request = null;
  let last = "";
  return () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const url = address();
      if (url === last) return;
      last = url;
      if (request) request.abort();
      request = new AbortController();
      try {
        const answer = await fetch(url, { signal: request.signal, headers: { "HX-Request": "true" } });
        // Signed out: sending says so; a reload would lose what is chosen.
        if (answer.ok && !answer.redirected) document.getElementById(target).innerHTML = await answer.text();
      } catch (error) {
        if (error.name !== "AbortError") last = "";
      }
    }, delay);
  };
}
