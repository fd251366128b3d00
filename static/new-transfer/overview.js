// All files together: the two legs above the list, the title of the page, the announcements for screen readers, and the
// buttons for all files.

import { bytesText, exactBytesText, filesText, fill, percent, percentText, rateText } from "./formatting.js";
import { Rate } from "./rate.js";

const $ = (id) => document.getElementById(id);

export class Overview {
  #title = document.title;
  #rates = { received: new Rate(), stored: new Rate() };
  #wasInProgress = false;
  #announced = "";

  // `tally` is what tally.js has counted.
  show(tally) {
    const { count, size, started } = tally;
    $("files-count").textContent = count ? `${filesText(count)} · ${bytesText(size)}` : "";
    $("files-count").title = count ? exactBytesText(size) : "";
    $("legs").hidden = !started.count;
    this.#showLeg("received", tally, tally.isReceived, true);
    // The store leg can be estimated once it does not wait for the browser leg.
    this.#showLeg("stored", tally, tally.isStored, tally.isReceived);
    $("overall-counts").textContent = countsText(tally);
    this.#showTitle(tally);
    this.#announce(tally);
  }

  #showLeg(leg, { started, moved }, isWhole, hasEstimate) {
    const { size, [leg]: value } = started;
    const rate = this.#rates[leg];
    rate.add(moved[leg]);
    const done = percent(value, size, isWhole);
    $(`${leg}-bar`).value = done;
    $(`${leg}-percent`).textContent = percentText(done);
    $(`${leg}-bytes`).textContent = fill(gettext("%(done)s of %(size)s"), { done: bytesText(value), size: bytesText(size) });
    const all = leg === "received" ? gettext("all received") : gettext("all sent");
    $(`${leg}-pace`).textContent = isWhole ? all : rateText(rate.perSecond, hasEstimate ? size - value : 0);
  }

  // The browser leg: the page has to stay open until it is finished.
  #showTitle({ started, needsThePage }) {
    if (!needsThePage) {
      document.title = this.#title;
      return;
    }
    const name = started.count === 1 ? started.first.name : filesText(started.count);
    document.title = `${percentText(percent(started.received, started.size))} · ${name} · Partway`;
  }

  // At each quarter, when a file needs a decision, and at the end.
  #announce(tally) {
    const { started, decisions, inProgress } = tally;
    if (inProgress) {
      const quarter = Math.floor(percent(started.received, started.size) / 25) * 25;
      const received = fill(gettext("%(percent)s%% received."), { percent: quarter });
      this.#show(decisions ? `${received} ${toConfirmText(decisions)}` : received);
    } else if (this.#wasInProgress || decisions) {
      this.#show(`${countsText(tally)}.`);
    }
    this.#wasInProgress = inProgress > 0;
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
  ["done", () => gettext("%(count)s done")],
  ["inProgress", () => gettext("%(count)s in progress")],
  ["decisions", (count) => ngettext("%(count)s needs a decision", "%(count)s need a decision", count)],
  ["failed", () => gettext("%(count)s failed")],
  ["cancelled", () => gettext("%(count)s cancelled")],
  ["waiting", () => gettext("%(count)s not sent yet")],
];

// "3 done · 1 failed"
function countsText(tally) {
  return COUNTS.filter(([name]) => tally[name])
    .map(([name, text]) => fill(text(tally[name]), { count: tally[name] }))
    .join(" · ");
}

function sendText(count) {
  if (count < 2) return gettext("Send");
  return fill(ngettext("Send %(count)s file", "Send %(count)s files", count), { count });
}

function sameKeysText(count) {
  if (!count) return "";
  const text = ngettext(
    "%(count)s file has the same key as another file in this list, and is not sent. Edit its key.",
    "%(count)s files have the same keys as other files in this list, and are not sent. Edit their keys.",
    count,
  );
  return fill(text, { count });
}

// Shows the buttons for all files that apply to some of them, and what needs the operator before sending.
export function showButtons(tally) {
  const having = (step) => tally.steps[step] || 0;
  $("send").disabled = !tally.sendable;
  $("send-text").textContent = sendText(tally.sendable);
  $("pause-all").hidden = having("pause") < 2;
  $("resume-all").hidden = having("resume") < 2;
  $("retry-all").hidden = having("retry") < 2;
  $("replace-all").hidden = having("replace") < 2;
  $("takeover-all").hidden = having("takeover") < 2;
  $("cancel-all").hidden = having("cancel") + having("discard") < 2;
  $("remove-all").hidden = tally.notStarted < 2;
  $("clear").hidden = !tally.final;
  // A single file that is not sent yet has all it needs in its own buttons.
  $("files-tools").hidden = tally.notStarted === tally.count && tally.notStarted < 2;
  $("same-keys").hidden = !tally.sameKeys;
  $("same-keys-text").textContent = sameKeysText(tally.sameKeys);
}
