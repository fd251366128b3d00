// The page of a listing: the selection over several pages, and the filter by idle time.

import { fill, numberText } from "../new-transfer/formatting.js";
import { Idle } from "./idle.js";
import { Selection } from "./selection.js";
import "./facts.js";

const MOST = 1000; // Uploads of one operation.

const form = document.querySelector("form[data-selection]");

function follow(form) {
  const selection = new Selection(location.pathname);
  const button = form.querySelector("[data-abort-selected]");
  const elsewhere = form.querySelector("[data-elsewhere]");
  const carried = form.querySelector("[data-carried]");
  const boxes = () => [...form.querySelectorAll("input[type=checkbox][name=upload]")];

  function tick() {
    carried.replaceChildren();
    for (const box of boxes()) box.checked = !isGone(box) && selection.has(box.value);
    show();
  }

  // Rows that a filter hides keep what was selected.
  function note() {
    for (const box of boxes()) if (!box.disabled || isGone(box)) selection.set(box.value, box.checked);
    selection.save();
    show();
  }

  function show() {
    const here = new Set(boxes().map((box) => box.value));
    const others = selection.values.filter((value) => !here.has(value)).length;
    if (button) {
      button.disabled = !selection.size || selection.size > MOST;
      button.querySelector("[data-count]").textContent = selection.size ? ` (${numberText(selection.size)})` : "";
    }
    elsewhere.hidden = !others && selection.size <= MOST;
    elsewhere.firstElementChild.textContent =
      selection.size > MOST
        ? fill(gettext("At most %(most)s uploads can be aborted together."), { most: MOST })
        : fill(ngettext("%(count)s selected on another page", "%(count)s selected on other pages", others), { count: others });
    for (const all of form.querySelectorAll("[data-select-all]")) {
      const usable = boxes().filter((box) => !box.disabled);
      const count = usable.filter((box) => box.checked).length;
      all.checked = usable.length > 0 && count === usable.length;
      all.indeterminate = count > 0 && count < usable.length;
    }
  }

  function carry() {
    const sent = new Set(boxes().filter((box) => box.checked && !box.disabled).map((box) => box.value));
    const fields = selection.values.filter((value) => !sent.has(value)).map((value) => {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name: "upload", value });
      return field;
    });
    carried.replaceChildren(...fields);
  }

  // Selected by the page itself: "select all" without JavaScript.
  for (const box of boxes()) if (box.defaultChecked) selection.set(box.value, true);
  tick();
  document.addEventListener("change", ({ target }) => target.form === form && note());
  form.addEventListener("submit", carry);
  elsewhere.querySelector("button").addEventListener("click", () => {
    selection.clear();
    tick();
  });
  // A page from the back/forward cache shows what was selected since.
  window.addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    selection.load();
    tick();
  });
  return show;
}

const isGone = (box) => box.closest("tr").classList.contains("is-gone");

if (form) {
  const show = follow(form);
  const chips = document.querySelector("[data-idle-chips]");
  if (chips) new Idle(form.querySelector("table[data-facts]"), chips, show);
}
