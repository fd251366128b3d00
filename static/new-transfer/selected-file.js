// One chosen file, from the list to the store: facts only. What may be done with it in which state is in states.js.

import { Rate } from "./rate.js";

let count = 0;

export class ChosenFile {
  constructor(file, path) {
    this.id = `file-${++count}`;
    this.file = file;
    this.path = path; // With its folders, where a folder was chosen.
    this.ownKey = null; // A key that was typed for this file alone.
    this.receiveRate = new Rate();
    this.storeRate = new Rate();
    this.fingerprint = "";
    this.reset();
  }

  // As it was when it was chosen; what is known of the file itself stays.
  reset() {
    this.state = "waiting";
    this.words = ""; // Why it is in this state, where that is not plain.
    this.notice = ""; // Why the last order was refused.
    this.fields = null; // What is wrong with it, by form field.
    this.canRetry = true; // The server says when trying again cannot help.
    this.failedElsewhere = false; // The store leg failed, not the sending from here.
    this.error = null; // What the server recorded: {code, message, request_id}.
    this.order = null; // What it was sent with: the key, the bucket and so on.
    this.transferId = "";
    this.page = "";
    this.digest = "";
    this.isCreating = false; // Its creation is on the way: whether there is a transfer is not known.
    this.isUnsent = true; // The browser leg has not ended.
    this.isCompleting = false;
    this.ordersUnderWay = 0; // Pause, resume and so on, not answered yet.
    this.orderedAt = 0;
    this.run = (this.run || 0) + 1; // Tells a request of an earlier try from one of this.
    this.moved = { received: 0, stored: 0 }; // What this page saw move, for its rates.
    this.startFrom(0, 0);
    this.receiveRate.reset();
    this.storeRate.reset();
  }

  get name() {
    return this.file.name;
  }

  get size() {
    return this.file.size;
  }

  // Where it stood before this page had to do with it; null: not known yet.
  startFrom(received, stored) {
    this.received = received;
    this.stored = stored;
  }

  // How many bytes are here now, and how many are in the store.
  note(received, stored) {
    this.moved.received += Math.max(0, received - (this.received ?? received));
    this.moved.stored += Math.max(0, stored - (this.stored ?? stored));
    this.startFrom(received, stored);
  }
}
