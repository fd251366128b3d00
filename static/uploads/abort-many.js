// The page that asks whether to abort a selection: the sums of all its uploads, which are looked at in groups.

import { bytesText, fill, numberText } from "../new-transfer/formatting.js";
import { tables } from "./facts.js";

const HOUR = 3600;

const sums = document.querySelector("[data-abort-sums]");
const spare = document.querySelector("input[name=spare-hours]");
const everyRow = [...document.querySelectorAll("table[data-facts] tbody > tr")];
const rows = everyRow.filter((row) => !row.querySelector("[data-owned]"));

function count() {
  const now = Date.now() / 1000;
  const found = { parts: 0, bytes: 0, hour: 0, day: 0, unknown: 0, gone: 0, seen: 0, unsized: 0 };
  for (const { dataset } of rows) {
    if (dataset.active === undefined && !("gone" in dataset)) continue;
    found.seen += 1;
    if ("gone" in dataset) found.gone += 1;
    else if (dataset.active === "") found.unknown += 1;
    found.parts += Number(dataset.parts || 0);
    found.bytes += Number(dataset.bytes || 0);
    // An upload of which nothing could be read, or with a part of unknown size.
    if (!("gone" in dataset) && !dataset.bytes) found.unsized += 1;
    const idle = Number(dataset.active) ? now - Number(dataset.active) : Infinity;
    if (idle < HOUR) found.hour += 1;
    if (idle < 24 * HOUR) found.day += 1;
  }
  return found;
}

function show() {
  const found = count();
  const texts = {
    parts: numberText(found.parts),
    bytes: found.unsized
      ? fill(gettext("%(size)s, and %(count)s of unknown size"), { size: bytesText(found.bytes), count: found.unsized })
      : bytesText(found.bytes),
    hour: numberText(found.hour),
    day: numberText(found.day),
    unknown: numberText(found.unknown),
    gone: numberText(found.gone),
  };
  for (const [name, text] of Object.entries(texts)) sums.querySelector(`[data-sum=${name}]`).textContent = text;
  const isAll = found.seen === rows.length;
  const status = isAll
    ? gettext("All uploads have been looked at.")
    : fill(gettext("%(seen)s of %(total)s uploads have been looked at."), { seen: found.seen, total: rows.length });
  sums.querySelector("[role=status]").textContent = status;
  const left = sums.querySelector("[data-left-out]");
  const number = found.day + found.unknown;
  left.textContent = spare.checked
    ? fill(ngettext("(%(count)s of them)", "(%(count)s of them)", number), { count: number })
    : "";
}

// What is known of each upload, for the export: the server asks the store for nothing (dashboard/uploads/exported.py).
function known({ dataset }) {
  return [dataset.parts, dataset.bytes, dataset.active].map((value) => value ?? "").join(",");
}

function exportWithFacts({ submitter, currentTarget }) {
  if (submitter?.name !== "export") return;
  currentTarget.elements.facts.value = everyRow.map(known).join("\n");
}

if (sums) {
  sums.closest("form").addEventListener("submit", exportWithFacts);
  document.addEventListener("facts", show);
  spare.addEventListener("change", show);
  for (const table of tables) table.wantAll();
  show();
}
