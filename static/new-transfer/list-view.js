// The list of selected files, in pages: thousands of rows would make the page slow. Rows that have changed are updated a few
// times a second, and less often if counting all files takes long.

import { fill } from "./formatting.js";
import { RowView } from "./row-view.js";
import { isFinal, isInProgress, isNotStarted, needsTheOperator } from "./states.js";

const BETWEEN_SHOWS = 250;
const LONGEST_SHARE = 10; // At most a tenth of the time is spent on showing.
export const ROWS_PER_PAGE = 100;

const FILTERS = {
  all: () => true,
  attention: (file) => needsTheOperator(file) || Boolean(file.twin),
  active: isInProgress,
  waiting: (file) => isNotStarted(file) && !needsTheOperator(file),
  final: isFinal,
};

export class ListView {
  #elements;
  #files;
  #keyOf;
  #typeOf;
  #rows = new Map(); // Those of the page that is shown, in its order.
  #changed = new Set();
  #first = 0; // The place of the first file of the page.
  #hasMoved = true; // Which files the page shows has to be found out again.
  #timer = 0;
  #pause = BETWEEN_SHOWS;
  #onShown;

  // `files` is the FileSet. `onShown` is called after each update.
  constructor({ list, pager, filter, files, keyOf, typeOf, onShown }) {
    this.#elements = { list, pager, filter };
    this.#files = files;
    this.#keyOf = keyOf;
    this.#typeOf = typeOf;
    this.#onShown = onShown;
    filter.addEventListener("change", () => this.#turnTo(0));
    pager.querySelector("[data-turn=back]").addEventListener("click", () => this.#turnTo(this.#first - ROWS_PER_PAGE));
    pager.querySelector("[data-turn=on]").addEventListener("click", () => this.#turnTo(this.#first + ROWS_PER_PAGE));
  }

  // Files were added or removed.
  move() {
    this.#hasMoved = true;
    this.showSoon();
  }

  row(file) {
    return this.#rows.get(file);
  }

  touch(file) {
    if (this.#rows.has(file)) this.#changed.add(file);
    this.showSoon();
  }

  touchAll() {
    for (const file of this.#rows.keys()) this.#changed.add(file);
    this.showSoon();
  }

  // Show the files that need the operator.
  showAttention() {
    this.#elements.filter.value = "attention";
    this.#turnTo(0);
    this.#elements.filter.focus();
  }

  showSoon() {
    this.#timer ||= setTimeout(() => this.showNow(), this.#pause);
  }

  showNow() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const start = performance.now();
    const changed = [...this.#changed];
    this.#changed.clear();
    // Files may enter or leave what a filter shows.
    if (this.#hasMoved || this.#elements.filter.value !== "all") this.#arrange();
    for (const file of changed) this.#show(file);
    this.#onShown();
    this.#pause = Math.max(BETWEEN_SHOWS, LONGEST_SHARE * (performance.now() - start));
  }

  #turnTo(first) {
    this.#first = Math.max(0, first);
    this.#hasMoved = true;
    this.showNow();
    this.#elements.list.scrollTop = 0;
  }

  // --- The files of the page ----------------------------------------------------------------------------------------------

  #arrange() {
    this.#hasMoved = false;
    // A filter is of no use for a list that is short.
    const isLong = this.#files.size > ROWS_PER_PAGE;
    if (!isLong) this.#elements.filter.value = "all";
    const isShown = FILTERS[this.#elements.filter.value];
    let page = this.#take(isShown);
    if (!page.files.length && page.count) {
      this.#first = Math.floor((page.count - 1) / ROWS_PER_PAGE) * ROWS_PER_PAGE;
      page = this.#take(isShown);
    }
    this.#place(page.files);
    this.#showPager(isLong, page);
  }

  #take(isShown) {
    const files = [];
    let count = 0;
    for (const file of this.#files) {
      if (!isShown(file)) continue;
      if (count >= this.#first && files.length < ROWS_PER_PAGE) files.push(file);
      count += 1;
    }
    return { files, count };
  }

  // The focus moves to the next row, otherwise to the previous one, so that keyboard users keep their place.
  #place(files) {
    const wanted = new Set(files);
    const focused = [...this.#rows.values()].find((row) => row.element.contains(document.activeElement));
    const next = focused && this.#neighbour(focused, wanted);
    for (const [file, row] of this.#rows) if (!wanted.has(file)) row.element.remove();
    const before = this.#rows;
    this.#rows = new Map(files.map((file) => [file, before.get(file) || this.#newRow(file)]));
    let place = this.#elements.list.firstElementChild;
    for (const { element } of this.#rows.values()) {
      if (element === place) place = place.nextElementSibling;
      else this.#elements.list.insertBefore(element, place);
    }
    if (next) next.focus();
  }

  // The row that gets the focus of one that leaves the page; none if it stays.
  #neighbour(focused, wanted) {
    const rows = [...this.#rows.entries()];
    const at = rows.findIndex(([, row]) => row === focused);
    if (wanted.has(rows[at][0])) return null;
    const others = [...rows.slice(at + 1), ...rows.slice(0, at).reverse()];
    return others.find(([file]) => wanted.has(file))?.[1];
  }

  #newRow(file) {
    const row = new RowView(file, this.#keyOf, this.#typeOf);
    row.show();
    return row;
  }

  #showPager(isLong, { files, count }) {
    const { pager } = this.#elements;
    pager.hidden = !isLong;
    if (!isLong) return;
    const range = { first: this.#first + 1, last: this.#first + files.length, count };
    const text = count ? fill(gettext("%(first)s–%(last)s of %(count)s"), range) : gettext("No such file");
    pager.querySelector("[data-part=range]").textContent = text;
    pager.querySelector("[data-turn=back]").disabled = this.#first === 0;
    pager.querySelector("[data-turn=on]").disabled = range.last >= count;
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
