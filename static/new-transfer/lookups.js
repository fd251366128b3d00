// What the form requests from the server while it is filled in: the part plan of a file, and the object at its key.

import { isOurs, isPage, proxyText } from "../responses.js";

const PLAN_DELAY = 250;
const EXISTING_DELAY = 450;

export class Lookups {
  #form;
  #requestPlan;
  #requestExisting;

  // `selected()` gives the files that are not started yet.
  constructor(form, selected) {
    this.#form = form;
    const { plan, existing } = form.element.dataset;
    this.#requestPlan = requester("plan", PLAN_DELAY, () => `${plan}?${this.#planQuery(selected())}`);
    this.#requestExisting = requester("existing", EXISTING_DELAY, () => `${existing}?${this.#existingQuery(selected())}`);
  }

  onInput(name) {
    if (["store", "part-size", "part-count"].includes(name)) this.#requestPlan();
    if (["store", "bucket", "prefix", "key"].includes(name)) this.#requestExisting();
  }

  onFiles() {
    this.#requestPlan();
    this.#requestExisting();
  }

  // The largest file reaches the limits first.
  #planQuery(files) {
    const query = new URLSearchParams({ store: this.#form.store });
    if (files.length) query.set("size", files.reduce((largest, { size }) => Math.max(largest, size), 0));
    for (const name of ["part-size", "part-count"]) query.set(name, this.#form.text(name));
    return query;
  }

  // If several files are selected, the key of each is checked when it is sent.
  #existingQuery(files) {
    const key = files.length > 1 ? "" : files.length ? this.#form.keyOf(files[0], true) : this.#form.text("key");
    return new URLSearchParams({ store: this.#form.store, bucket: this.#form.bucket, key });
  }
}

// Requests a fragment a moment after the last change, and drops the response to an older request.
function requester(target, delay, address) {
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
        const options = { signal: request.signal, headers: { "HX-Request": "true" }, redirect: "manual" };
        await show(document.getElementById(target), await fetch(url, options));
      } catch (error) {
        if (error.name !== "AbortError") last = "";
      }
    }, delay);
  };
}

async function show(target, response) {
  const { status, headers } = response;
  const text = await response.text();
  const header = (name) => headers.get(name);
  const isRedirect = response.type === "opaqueredirect";
  // After the session has ended, Partway asks htmx to reload the page. Sending reports that; a reload would lose the files.
  if (headers.has("HX-Refresh")) return;
  const isExpected = response.ok && !isPage(text);
  const isForeign = isRedirect || !isOurs(header, text, isExpected);
  if (isExpected && !isForeign) target.innerHTML = text;
  else if (isForeign) target.textContent = proxyText({ status, server: header("Server"), isRedirect });
}
