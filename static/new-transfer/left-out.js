// What was selected or dropped and is not in the list of files, with the reason.

import { fill } from "./formatting.js";

const SHOWN = 200;

const REASONS = {
  empty: () => gettext("empty folder: a store has no folders"),
  folder: () => gettext("the browser could not read this folder, or not all of it"),
  file: () => gettext("the browser could not read this file"),
};

const $ = (id) => document.getElementById(id);

export class LeftOut {
  #count = 0;

  constructor() {
    $("left-out-close").addEventListener("click", () => this.#clear());
  }

  add(reason, path, detail = "") {
    this.#count += 1;
    $("left-out").hidden = false;
    const text = ngettext("%(count)s item was left out", "%(count)s items were left out", this.#count);
    $("left-out-title").textContent = fill(text, { count: this.#count });
    if (this.#count <= SHOWN) $("left-out-list").append(itemOf(reason, path, detail));
    const more = this.#count - SHOWN;
    $("left-out-more").textContent = more > 0 ? fill(gettext("and %(count)s more"), { count: more }) : "";
  }

  #clear() {
    this.#count = 0;
    $("left-out").hidden = true;
    $("left-out-list").replaceChildren();
    $("choose-files").focus();
  }
}

function itemOf(reason, path, detail) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  name.className = "key";
  name.translate = false;
  name.textContent = path;
  const why = detail ? `${REASONS[reason]()} (${detail})` : REASONS[reason]();
  item.append(name, ": ", why);
  return item;
}
