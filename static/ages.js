// Keeps ages such as "3 minutes ago" up to date without a request: `time[title]`, and `.age` after a `time`
// (dashboard/shared/formatting.py), and cells with seconds since 1970 (dashboard/uploads/columns.py). One timer for the page, which is due when the next text changes. It follows the clock
// of the server, `data-now` of the page. A hidden tab waits until it is shown.

import { fill } from "./new-transfer/formatting.js";

const DAY = 86400;
const LONGEST_WAIT = 60;
const SHORTEST_WAIT = 1;
const AGES = "time[title][datetime], time[datetime] + .age, td[data-at]";
const ANNOUNCED = "[aria-live], [role=status], [role=alert]";

// The least seconds of each unit, largest first, with the texts for the past and for the future.
const UNITS = [
  [
    365 * DAY,
    (count) => ngettext("%(count)s year ago", "%(count)s years ago", count),
    (count) => ngettext("in %(count)s year", "in %(count)s years", count),
  ],
  [
    30 * DAY,
    (count) => ngettext("%(count)s month ago", "%(count)s months ago", count),
    (count) => ngettext("in %(count)s month", "in %(count)s months", count),
  ],
  [
    DAY,
    (count) => ngettext("%(count)s day ago", "%(count)s days ago", count),
    (count) => ngettext("in %(count)s day", "in %(count)s days", count),
  ],
  [
    3600,
    (count) => ngettext("%(count)s hour ago", "%(count)s hours ago", count),
    (count) => ngettext("in %(count)s hour", "in %(count)s hours", count),
  ],
  [
    60,
    (count) => ngettext("%(count)s minute ago", "%(count)s minutes ago", count),
    (count) => ngettext("in %(count)s minute", "in %(count)s minutes", count),
  ],
  [
    1,
    (count) => ngettext("%(count)s second ago", "%(count)s seconds ago", count),
    (count) => ngettext("in %(count)s second", "in %(count)s seconds", count),
  ],
];

const ahead = Date.parse(document.documentElement.dataset.now) - Date.now() || 0;
const times = new WeakMap();
let timer;

// As age_text() of the server.
function ageText(seconds) {
  const length = Math.abs(seconds);
  if (length < 5) return gettext("just now");
  const [unit, past, future] = UNITS.find(([least]) => length >= least);
  const count = Math.floor(length / unit);
  return fill((seconds > 0 ? past : future)(count), { count });
}

// Seconds until the text changes.
function validFor(seconds) {
  const length = Math.abs(seconds);
  return length < 60 ? SHORTEST_WAIT : 60 - (length % 60);
}

// The time of an age, parsed once.
function timeOf(element) {
  if (!times.has(element)) times.set(element, element.closest(ANNOUNCED) ? NaN : parsed(element));
  return times.get(element);
}

function parsed(element) {
  if (element.dataset.at) return Number(element.dataset.at) * 1000;
  return Date.parse((element.matches("time") ? element : element.previousElementSibling).dateTime);
}

function update() {
  clearTimeout(timer);
  if (document.hidden) return;
  let wait = LONGEST_WAIT;
  for (const element of document.querySelectorAll(AGES)) {
    const seconds = Math.trunc((Date.now() + ahead - timeOf(element)) / 1000);
    if (Number.isNaN(seconds)) continue;
    const text = ageText(seconds);
    if (element.textContent !== text) element.textContent = text;
    wait = Math.min(wait, validFor(seconds));
  }
  timer = setTimeout(update, Math.max(wait, SHORTEST_WAIT) * 1000);
}

document.addEventListener("visibilitychange", update);
document.addEventListener("htmx:load", update);
window.addEventListener("pageshow", update);
update();
