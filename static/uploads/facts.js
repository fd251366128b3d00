// Parts, bytes, last activity and state of rows, from ListParts. The rows that are visible ask together, in one request; what
// has been scrolled past without an answer is not asked for. A table with `data-facts` has the address.

import { isOurs, proxyText } from "../responses.js";
import { csrfToken } from "../new-transfer/server.js";

const MOST_ROWS = 50; // As in dashboard/uploads/facts.py.
const REST = 120; // Milliseconds until rows that came into view while scrolling are asked for.
const LONGEST_PAUSE = 60_000;

export class Facts {
  #table;
  #waiting; // Rows without facts, in their order, with the fields that name their uploads.
  #visible = new Set();
  #timer = 0;
  #isAsking = false;
  #failures = 0;
  #wantsAll = false;

  constructor(table) {
    this.#table = table;
    this.#waiting = new Map([...rowsOf(table)].map((row) => [row, nameOf(row)]));
    const observer = new IntersectionObserver((entries) => this.#moved(entries), { rootMargin: "72px 0px" });
    for (const row of this.#waiting.keys()) observer.observe(row);
  }

  // Ask for the rows that nobody has seen as well, after those that are visible.
  wantAll() {
    this.#wantsAll = true;
    this.#soon();
  }

  // How many rows have no facts yet.
  get missing() {
    return this.#waiting.size;
  }

  #moved(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#visible.add(target);
      else this.#visible.delete(target);
    }
    this.#soon();
  }

  #soon(delay = REST) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), delay);
  }

  #next() {
    const rows = [...this.#waiting.keys()];
    const shown = rows.filter((row) => this.#visible.has(row) && !row.hidden);
    const found = shown.length || !this.#wantsAll ? shown : rows;
    return found.slice(0, MOST_ROWS);
  }

  async #ask() {
    if (this.#isAsking) return;
    const rows = this.#next();
    if (!rows.length) return;
    this.#isAsking = true;
    const error = await this.#fetch(rows);
    this.#isAsking = false;
    this.#failures = error ? this.#failures + 1 : 0;
    tell(error);
    this.#soon(error ? Math.min(1000 * 2 ** this.#failures, LONGEST_PAUSE) : 0);
  }

  // The text of the failure, if it failed.
  async #fetch(rows) {
    const body = new FormData();
    for (const row of rows) {
      body.append("upload", this.#waiting.get(row));
      if (row.classList.contains("unlisted")) body.append("unlisted", this.#waiting.get(row));
    }
    let response, text;
    try {
      const headers = { "X-CSRFToken": csrfToken() };
      response = await fetch(this.#table.dataset.facts, { method: "POST", headers, body, redirect: "manual" });
      text = await response.text();
    } catch {
      return gettext("Partway cannot be reached.");
    }
    const header = (name) => response.headers.get(name);
    const isRedirect = response.type === "opaqueredirect";
    if (isRedirect || !isOurs(header, text, response.ok)) {
      return proxyText({ status: response.status, server: header("Server"), isRedirect });
    }
    if (!response.ok) return gettext("Parts and bytes could not be loaded. Reload the page if this does not end.");
    this.#show(rows, text);
    return "";
  }

  #show(rows, text) {
    const holder = document.createElement("template");
    holder.innerHTML = text;
    const answers = holder.content.querySelectorAll("tbody > tr");
    const shown = rows.filter((row, index) => answers[index] && fill(row, answers[index]));
    for (const row of shown) this.#waiting.delete(row);
    scale(this.#table);
    this.#table.dispatchEvent(new CustomEvent("facts", { bubbles: true, detail: { rows: shown } }));
  }
}

const rowsOf = (table) => table.querySelectorAll("tbody > tr:not(.is-gone, .folder-row, .group-head)");

// As the field `upload` of a form, from the link of the row.
function nameOf(row) {
  const query = row.querySelector("th > a").search;
  const [, key, uploadId] = query.match(/^\?key=([^&]*)&upload-id=([^&]*)/);
  return `${key}/${uploadId}`;
}

// Whether the answer has the facts of the row. If the requests to the store were too many, it is asked for again.
function fill(row, answer) {
  if ("later" in answer.dataset) return false;
  row.append(...answer.children);
  Object.assign(row.dataset, answer.dataset);
  if ("gone" in answer.dataset) markGone(row);
  return true;
}

// An upload that is gone cannot be selected.
function markGone(row) {
  row.classList.add("is-gone");
  for (const box of row.querySelectorAll("input[type=checkbox]")) {
    box.checked = false;
    box.disabled = true;
    box.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

// The bars compare the uploads of the page with the largest one that is known.
function scale(table) {
  const bars = [...table.querySelectorAll("progress")];
  const largest = Math.max(...bars.map((bar) => Number(bar.getAttribute("value"))));
  for (const bar of bars) bar.max = largest;
}

function tell(error) {
  const notice = document.getElementById("line-problem");
  notice.lastElementChild.textContent = error;
  notice.hidden = !error;
}

export const tables = [...document.querySelectorAll("table[data-facts]")].map((table) => new Facts(table));
