// All files together: the two legs above the list, the title of the page, the announcements for screen readers, and the
// buttons for all files.

import { bytesText, exactBytesText, filesText, fill, percent, percentText, rateText } from "./formatting.js";
import { Rate } from "./rate.js";
import { isFinal, isInProgress, isNotStarted, isSendable, needsThePage, needsTheOperator } from "./states.js";

const $ = (id) => document.getElementById(id);
const sum = (files, of) => files.reduce((total, file) => total + of(file), 0);

export class Overview {
  #files;
  #title = document.title;
  #rates = { received: new Rate(), stored: new Rate() };
  #wasInProgress = false;
  #announced = "";

  constructor(files) {
    this.#files = files;
  }

  show() {
    const files = [...this.#files()];
    const started = files.filter((file) => !isNotStarted(file) && file.state !== "cancelled");
    const size = sum(files, (file) => file.size);
    $("files-count").textContent = files.length ? `${filesText(files.length)} · ${bytesText(size)}` : "";
    $("files-count").title = files.length ? exactBytesText(size) : "";
    $("legs").hidden = !started.length;
    const isReceived = started.every((file) => !file.isUnsent);
    this.#showLeg("received", started, isReceived, true);
    // The store leg can be estimated once it does not wait for the browser leg.
    this.#showLeg("stored", started, started.every((file) => file.state === "done"), isReceived);
    $("overall-counts").textContent = countsText(files);
    this.#showTitle(started);
    this.#announce(files, started);
  }

  #showLeg(leg, files, isWhole, hasEstimate) {
    const size = sum(files, (file) => file.size);
    const value = sum(files, (file) => file[leg] || 0);
    const rate = this.#rates[leg];
    rate.add(sum(files, (file) => file.moved[leg]));
    const done = percent(value, size, isWhole);
    $(`${leg}-bar`).value = done;
    $(`${leg}-percent`).textContent = percentText(done);
    $(`${leg}-bytes`).textContent = fill(gettext("%(done)s of %(size)s"), { done: bytesText(value), size: bytesText(size) });
    const all = leg === "received" ? gettext("all received") : gettext("all sent");
    $(`${leg}-pace`).textContent = isWhole ? all : rateText(rate.perSecond, hasEstimate ? size - value : 0);
  }

  // The browser leg: the page has to stay open until it is finished.
  #showTitle(started) {
    if (!started.some(needsThePage)) {
      document.title = this.#title;
      return;
    }
    const name = started.length === 1 ? started[0].name : filesText(started.length);
    document.title = `${percentText(this.#percentReceived(started))} · ${name} · Partway`;
  }

  #percentReceived(started) {
    return percent(sum(started, (file) => file.received || 0), sum(started, (file) => file.size));
  }

  // At each quarter, when a file needs a decision, and at the end.
  #announce(files, started) {
    const isNowInProgress = started.some(isInProgress);
    const toConfirm = files.filter((file) => file.state === "confirm").length;
    if (isNowInProgress) {
      const quarter = Math.floor(this.#percentReceived(started) / 25) * 25;
      const received = fill(gettext("%(percent)s%% received."), { percent: quarter });
      this.#show(toConfirm ? `${received} ${toConfirmText(toConfirm)}` : received);
    } else if (this.#wasInProgress || toConfirm) {
      this.#show(`${countsText(files)}.`);
    }
    this.#wasInProgress = isNowInProgress;
  }

  #show(text) {
    if (text === this.#announced) return;
    this.#announced = text;
    $("announcement").textContent = text;
  }
}

function toConfirmText(count) {
  return fill(ngettext("%(count)s file needs your decision.", "%(count)s files need your decision.", count), { count });
}

const COUNTS = [
  [(file) => file.state === "done", () => gettext("%(count)s done")],
  [isInProgress, () => gettext("%(count)s in progress")],
  [(file) => file.state === "confirm", (count) => ngettext("%(count)s needs a decision", "%(count)s need a decision", count)],
  [(file) => needsTheOperator(file) && file.state !== "confirm", () => gettext("%(count)s failed")],
  [(file) => file.state === "cancelled", () => gettext("%(count)s cancelled")],
  [(file) => file.state === "waiting", () => gettext("%(count)s not sent yet")],
];

// "3 done · 1 failed"
function countsText(files) {
  return COUNTS.map(([is, text]) => [files.filter(is).length, text])
    .filter(([count]) => count)
    .map(([count, text]) => fill(text(count), { count }))
    .join(" · ");
}

function sendText(count) {
  if (count < 2) return gettext("Send");
  return fill(ngettext("Send %(count)s file", "Send %(count)s files", count), { count });
}

// Shows the buttons for all files that apply to some of them.
export function showButtons(files, stepsOf) {
  const all = [...files];
  const having = (...steps) => all.filter((file) => stepsOf(file).some((step) => steps.includes(step))).length;
  const sendable = all.filter(isSendable).length;
  $("send").disabled = !sendable;
  $("send-text").textContent = sendText(sendable);
  $("pause-all").hidden = having("pause") < 2;
  $("resume-all").hidden = having("resume") < 2;
  $("retry-all").hidden = having("retry") < 2;
  $("replace-all").hidden = having("replace") < 2;
  $("cancel-all").hidden = having("cancel", "discard") < 2;
  const notStarted = all.filter(isNotStarted).length;
  $("remove-all").hidden = notStarted < 2;
  $("clear").hidden = !all.some(isFinal);
  // A single file that is not sent yet has all it needs in its own buttons.
  $("files-tools").hidden = notStarted === all.length && notStarted < 2;
}
