// All files seen together: the two legs above the list, the title of the page, and what a screen reader is told.

import { Rate } from "./rate.js";
import { isFinal, isSendable, isUnbegun, isUnderWay, needsThePage, needsTheOperator } from "./states.js";
import { bytesText, countText, paceText, percent } from "./formatting.js";

const $ = (id) => document.getElementById(id);
const sum = (files, of) => files.reduce((total, file) => total + of(file), 0);

export class Overview {
  #files;
  #title = document.title;
  #rates = { received: new Rate(), stored: new Rate() };
  #wasUnderWay = false;
  #said = "";

  constructor(files) {
    this.#files = files;
  }

  show() {
    const files = [...this.#files()];
    const begun = files.filter((file) => !isUnbegun(file) && file.state !== "cancelled");
    $("files-count").textContent = files.length ? `${countText(files.length, "file", "files")} · ${bytesText(sum(files, (file) => file.size))}` : "";
    $("legs").hidden = !begun.length;
    const isAllHere = begun.every((file) => !file.isUnsent);
    this.#showLeg("received", begun, isAllHere, true);
    // How long the store leg takes is known once it does not wait for the browser leg.
    this.#showLeg("stored", begun, begun.every((file) => file.state === "done"), isAllHere);
    $("overall-counts").textContent = counts(files);
    this.#showTitle(begun);
    this.#announce(files, begun);
  }

  #showLeg(leg, files, isWhole, saysHowLong) {
    const size = sum(files, (file) => file.size);
    const value = sum(files, (file) => file[leg] || 0);
    const rate = this.#rates[leg];
    rate.add(sum(files, (file) => file.moved[leg]));
    const done = percent(value, size, isWhole);
    $(`${leg}-bar`).value = done;
    $(`${leg}-percent`).textContent = `${done} %`;
    $(`${leg}-bytes`).textContent = `${bytesText(value)} of ${bytesText(size)}`;
    const pace = paceText(rate.perSecond, saysHowLong ? size - value : 0);
    $(`${leg}-pace`).textContent = isWhole ? `all ${leg}` : pace;
  }

  // The browser leg: it is why the page has to stay open.
  #showTitle(begun) {
    const moving = begun.filter(needsThePage);
    if (!moving.length) {
      document.title = this.#title;
      return;
    }
    const what = begun.length === 1 ? begun[0].name : countText(begun.length, "file", "files");
    document.title = `${this.#percentReceived(begun)} % · ${what} · Partway`;
  }

  #percentReceived(begun) {
    return percent(sum(begun, (file) => file.received || 0), sum(begun, (file) => file.size));
  }

  // At 25 % steps, when somebody is asked, and at the end.
  #announce(files, begun) {
    const isUnderWayNow = begun.some(isUnderWay);
    const asks = files.filter((file) => file.state === "confirm").length;
    if (isUnderWayNow) {
      const step = Math.floor(this.#percentReceived(begun) / 25) * 25;
      this.#say(`${step} % received.${asks ? ` ${countText(asks, "file waits", "files wait")} for your answer.` : ""}`);
    } else if (this.#wasUnderWay || asks) {
      this.#say(`${counts(files)}.`);
    }
    this.#wasUnderWay = isUnderWayNow;
  }

  #say(text) {
    if (text === this.#said) return;
    this.#said = text;
    $("announcement").textContent = text;
  }
}

function counts(files) {
  const count = (is) => files.filter(is).length;
  const asking = count((file) => file.state === "confirm");
  return [
    [count((file) => file.state === "done"), "done"],
    [count(isUnderWay), "under way"],
    [asking, asking === 1 ? "asks you" : "ask you"],
    [count((file) => needsTheOperator(file) && file.state !== "confirm"), "failed"],
    [count((file) => file.state === "cancelled"), "cancelled"],
    [count((file) => file.state === "waiting"), "not sent yet"],
  ]
    .filter(([number]) => number)
    .map(([number, word]) => `${number.toLocaleString("en")} ${word}`)
    .join(" · ");
}

// Which of the buttons for all files have something to do.
export function showButtons(files, stepsOf) {
  const all = [...files];
  const having = (...steps) => all.filter((file) => stepsOf(file).some((step) => steps.includes(step))).length;
  const sendable = all.filter(isSendable).length;
  $("send").disabled = !sendable;
  $("send-text").textContent = sendable > 1 ? `Send ${countText(sendable, "file", "files")}` : "Send";
  $("pause-all").hidden = having("pause") < 2;
  $("resume-all").hidden = having("resume") < 2;
  $("retry-all").hidden = having("retry") < 2;
  $("replace-all").hidden = having("replace") < 2;
  $("cancel-all").hidden = having("cancel", "discard") < 2;
  const unbegun = all.filter(isUnbegun).length;
  $("remove-all").hidden = unbegun < 2;
  $("clear").hidden = !all.some(isFinal);
  // A single file that is not sent yet needs no more than its own buttons.
  $("files-tools").hidden = unbegun === all.length && unbegun < 2;
}
