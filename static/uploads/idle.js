// Shows only the rows of the page whose upload has been idle for some time. An upload without parts is idle since its start. One
// whose last activity is not known is not counted as idle. Rows are judged as they become visible, and their parts are known.

import { fill } from "../new-transfer/formatting.js";

const PARAMETER = "idle";

export class Idle {
  #table;
  #chips;
  #changed;
  #seconds;

  // `changed` is called after boxes of rows were enabled or disabled.
  constructor(table, chips, changed) {
    this.#table = table;
    this.#chips = chips;
    this.#changed = changed;
    this.#seconds = Number(new URLSearchParams(location.search).get(PARAMETER)) || 0;
    chips.addEventListener("click", ({ target }) => this.#select(target.closest("[data-idle]")));
    table.addEventListener("facts", () => this.#show());
    if (this.#seconds) this.#show();
  }

  // The filter is in the address, so that the way back from an upload leads to it.
  #select(chip) {
    if (!chip) return;
    this.#seconds = Number(chip.dataset.idle);
    history.replaceState(history.state, "", withIdle(location.href, this.#seconds));
    this.#show();
  }

  #show() {
    const counts = { shown: 0, hidden: 0, unknown: 0, waiting: 0 };
    for (const row of this.#table.querySelectorAll("tbody > tr:has(input[name=upload])")) {
      const found = this.#seconds ? judge(row, this.#seconds) : "shown";
      counts[found] += 1;
      row.hidden = found === "hidden" || found === "unknown";
      const box = row.querySelector("input[name=upload]");
      box.disabled = row.classList.contains("is-gone") || found !== "shown";
    }
    for (const chip of this.#chips.querySelectorAll("[data-idle]"))
      chip.setAttribute("aria-pressed", String(Number(chip.dataset.idle) === this.#seconds));
    for (const link of document.querySelectorAll("nav a[rel]")) link.href = withIdle(link.href, this.#seconds);
    const text = gettext("%(shown)s match, %(hidden)s do not, %(unknown)s are not known, %(waiting)s are not looked at yet");
    this.#chips.querySelector("[role=status]").textContent = this.#seconds ? fill(text, counts) : "";
    this.#changed();
  }
}

function judge(row, seconds) {
  if (row.classList.contains("is-gone")) return "hidden";
  const { active } = row.dataset;
  if (active === undefined) return "waiting";
  const at = active === "none" ? row.querySelector("td[data-at]")?.dataset.at : active;
  if (!at) return "unknown";
  return Date.now() / 1000 - Number(at) >= seconds ? "shown" : "hidden";
}

function withIdle(url, seconds) {
  const changed = new URL(url);
  if (seconds) changed.searchParams.set(PARAMETER, seconds);
  else changed.searchParams.delete(PARAMETER);
  return changed.href;
}
