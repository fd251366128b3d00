// One selected file, from the list to the store: facts only. states.js has the steps that each state allows.

import { Rate } from "./rate.js";

let count = 0;

export class SelectedFile {
  constructor(file, path) {
    this.id = `file-${++count}`;
    this.file = file;
    this.path = path; // With its folders, if a folder was selected.
    this.ownKey = null; // A key that was typed for this file only.
    this.receiveRate = new Rate();
    this.storeRate = new Rate();
    this.fingerprint = "";
    this.twin = null; // Another file of the list that has the same key.
    this.discard = ""; // The id of the transfer that is discarded for this file.
    this.reset();
  }

  // Back to the state after selection. What is known of the file itself is kept.
  reset() {
    this.state = "waiting";
    this.message = ""; // Why it is in this state, if that is not obvious.
    this.notice = ""; // Why the last request failed.
    this.fields = null; // Messages by form field.
    this.inTheWay = null; // The transfer that has its key: {id, can_discard, ...}.
    this.canRetry = true; // False if the server reports that a retry cannot help.
    this.failedElsewhere = false; // The store leg failed, not the sending from here.
    this.error = null; // What the server recorded: {code, message, request_id}.
    this.settings = null; // What it was sent with: the key, the bucket and so on.
    this.transferId = "";
    this.page = "";
    this.digest = "";
    this.isCreating = false; // The creation request has no response yet: it is not known whether a transfer exists.
    this.mayExist = false; // Nor is it later, because the response was lost, or nobody waited for it.
    this.isCreatedEmpty = false; // Its bytes do not come with its creation, because that has failed.
    this.goesAlone = false; // It is not sent with other files, because that has failed for it.
    this.sentAs = ""; // The method of the current request, as it is sent: proxies may block some.
    this.requestSize = 0; // The bytes in it.
    this.failures = 0; // Of requests with bytes, in a row.
    this.isExamined = false; // Its fingerprint is known, and whether it resumes a transfer.
    this.isUnsent = true; // The browser leg is not finished.
    this.proven = 0; // The server has the bytes of this file up to here.
    this.isCompleting = false;
    this.isProving = false; // Its bytes are being compared with those of its transfer.
    this.pendingRequests = 0; // Pause, resume and so on, without a response yet.
    this.requestedAt = 0;
    this.answered = null; // A promise of the response to the last of them.
    this.run = (this.run || 0) + 1; // Distinguishes requests of an earlier attempt from those of this one.
    this.moved = { received: 0, stored: 0 }; // Bytes that moved while this page was open, for the rates.
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

  // The bytes that had moved before this page took part; null: not known yet.
  startFrom(received, stored) {
    this.received = received;
    this.stored = stored;
  }

  // How many bytes Partway has now, and how many the store has.
  note(received, stored) {
    this.moved.received += Math.max(0, received - (this.received ?? received));
    this.moved.stored += Math.max(0, stored - (this.stored ?? stored));
    this.startFrom(received, stored);
  }
}
