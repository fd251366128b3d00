// Keeps parts of pages up to date. An element with an id and `data-poll="2"` is requested again every 2 seconds while it
// changes, and less often the longer it does not; after a long time without a change, not at all. A hidden tab requests
// nothing. A notice says that the page is no longer up to date; its button, and the return to the tab, refresh the page.
// The element has hx-get, hx-swap="outerHTML" and hx-trigger="poll". The response 204 says that nothing has changed.

import { delayAfter } from "./poll-delays.js";

const AFTER_FAILURE = 5;
const HOUR = 3600;
const UNCHANGED = 204;

// By the id of the element: what it showed, when that changed, and the timer of its next request.
const polled = new Map();
let updatedAt = Date.now();

const notice = (name) => document.getElementById(`poll-${name}`);
const secondsSince = (at) => (Date.now() - at) / 1000;

function delayOf({ element, failed }, quiet) {
  return delayAfter(quiet, Math.max(Number(element.dataset.poll), failed ? AFTER_FAILURE : 0));
}

// What an element shows, without what changes by itself: times and ages, and the text of `noscript`, which is markup until htmx
// replaces it.
function shownBy(element) {
  const copy = element.cloneNode(true);
  for (const each of copy.querySelectorAll("time, .age, noscript")) each.remove();
  const bars = [...copy.querySelectorAll("progress")].map((bar) => `${bar.value}/${bar.max}`);
  return [element.getAttribute("hx-get"), copy.textContent.replace(/\s+/g, " "), ...bars].join("\n");
}

function look() {
  const elements = [...document.querySelectorAll("[data-poll][id]")];
  const ids = new Set(elements.map((element) => element.id));
  for (const [id, entry] of polled) {
    if (ids.has(id)) continue;
    clearTimeout(entry.timer);
    polled.delete(id);
  }
  for (const element of elements) follow(element);
  showNotices();
}

function follow(element) {
  const entry = polled.get(element.id) ?? {};
  if (entry.element === element) return;
  updatedAt = Date.now();
  const shown = shownBy(element);
  const changedAt = entry.shown === shown ? entry.changedAt : Date.now();
  clearTimeout(entry.timer);
  polled.set(element.id, { element, shown, changedAt });
  wait(polled.get(element.id));
}

function wait(entry) {
  clearTimeout(entry.timer);
  const quiet = secondsSince(entry.changedAt);
  entry.stopped = quiet >= Number(entry.element.dataset.pollHours || 1) * HOUR;
  if (!entry.stopped) entry.timer = setTimeout(() => request(entry), delayOf(entry, quiet) * 1000);
}

function request(entry) {
  entry.asleep = document.hidden;
  if (!entry.asleep) htmx.trigger(entry.element, "poll");
}

// Requests everything now, and often again for a while.
function refresh() {
  for (const entry of polled.values()) {
    entry.changedAt = Date.now();
    clearTimeout(entry.timer);
    request(entry);
  }
}

function showNotices() {
  const entries = [...polled.values()];
  show("failed", entries.some((entry) => entry.failed));
  show("stopped", !entries.some((entry) => entry.failed) && entries.some((entry) => entry.stopped));
}

function show(name, on) {
  const element = notice(name);
  if (!element) return;
  element.hidden = !on;
  for (const each of element.querySelectorAll("[data-poll-time]")) {
    each.textContent = new Date(updatedAt).toISOString().slice(0, 19).replace("T", " ");
  }
}

function entryOf(event) {
  const entry = polled.get(event.detail.elt?.id);
  return entry?.element === event.detail.elt ? entry : null;
}

function afterRequest(event) {
  const entry = entryOf(event);
  if (!entry) return;
  entry.failed = !event.detail.successful;
  const isUnchanged = event.detail.xhr?.status === UNCHANGED;
  if (isUnchanged) updatedAt = Date.now();
  // Otherwise the element is replaced, and the new one is waited for.
  if (entry.failed || isUnchanged) wait(entry);
  showNotices();
}

// An open page is no activity: it does not keep the session of its operator (dashboard/shared/activity.py).
function markBackground({ detail }) {
  if (detail.triggeringEvent?.type === "poll") detail.headers["Partway-Background"] = "1";
}

document.addEventListener("htmx:configRequest", markBackground);
document.addEventListener("htmx:load", look);
document.addEventListener("htmx:afterRequest", afterRequest);
document.addEventListener("htmx:afterSettle", look);
document.addEventListener("visibilitychange", () => {
  const slept = [...polled.values()].some((entry) => entry.asleep || entry.stopped || entry.failed);
  if (!document.hidden && slept) refresh();
});
window.addEventListener("online", refresh);
document.addEventListener("click", (event) => event.target.closest("[data-poll-now]") && refresh());
look();
