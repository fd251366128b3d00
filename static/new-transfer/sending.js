// Sends selected files to Partway: examines them, resumes their transfers or starts new ones, and follows the sending.

import { Examination } from "./examination.js";
import { fingerprintOf } from "./fingerprint.js";
import { Proof } from "./proof.js";
import { reactionTo } from "./request-errors.js";
import { Sender } from "./sender.js";
import { postJson } from "./server.js";
import { CHUNK } from "./ways.js";

const SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export class Sending {
  #addresses;
  #digests;
  #changed;
  #sender;
  #proof;
  #examination;

  // Set by the page: Requests and Sending need each other.
  requests = null;

  constructor({ addresses, digests, changed }) {
    this.#addresses = addresses;
    this.#digests = digests;
    this.#changed = changed;
    this.#sender = new Sender({
      endpoint: addresses.files,
      together: addresses.together,
      on: this.#events(),
      headersFor: (file, start, end) => this.#headersFor(file, start, end),
      othersFollow: () => this.#examination.isBusy,
    });
    this.#proof = new Proof({ transfers: addresses.transfers, digests });
    this.#examination = new Examination({
      read: (file) => this.#read(file),
      lookUp: (files) => this.#findKnown(files),
      ready: (files) => this.#queue(files),
      isHungry: () => this.#sender.isHungry,
    });
  }

  // What this tab has learned about proxies.
  get ways() {
    return this.#sender.ways;
  }

  // --- Before the first byte --------------------------------------------------------------------------------------------

  // Send files that have `settings`. Throws RequestError if the server cannot be reached before the first is sent.
  async start(files) {
    const runs = new Map(files.map((file) => [file, file.run]));
    for (const file of files) this.#change(file, "preparing");
    try {
      await this.#examination.start(files);
    } catch (error) {
      const isLeft = (file) => file.state === "preparing" && file.run === runs.get(file);
      for (const file of files) if (isLeft(file)) this.#change(file, "waiting");
      throw error;
    }
  }

  // Whether it can be read.
  async #read(file) {
    try {
      file.fingerprint ||= await fingerprintOf(file.file, this.#digests);
    } catch {
      this.#change(file, "failed", unreadable());
      return false;
    }
    file.settings.metadata.fingerprint = file.fingerprint;
    // If its creation is repeated, the server finds the first one, and does not ask about the object that it has made.
    file.settings.metadata["creation-id"] ||= randomId();
    return true;
  }

  // Files that have an unfinished transfer resume it.
  async #findKnown(selected) {
    // A transfer that is to be discarded is not resumed.
    const files = selected.filter((file) => !file.discard);
    if (!files.length) return;
    const byKey = await this.#known(files, ({ settings }) => settings.metadata.replace === "on");
    const found = files.filter((file) => byKey.has(file.settings.key));
    await Promise.all(found.map((file) => this.#resumeKnown(file, byKey.get(file.settings.key))));
  }

  // The unfinished transfers of these files, by key, with leave to replace an object where it is given.
  async #known(files, mayReplace) {
    const { store, bucket } = files[0].settings;
    const candidates = files.map((file) => ({
      key: file.settings.key,
      size: file.size,
      fingerprint: file.fingerprint,
      replace: mayReplace(file),
    }));
    const { known } = await postJson(this.#addresses.known, { store, bucket, files: candidates });
    return new Map(known.map((each) => [each.key, each]));
  }

  // Find the transfer of a file whose creation may have had an effect: the response was lost, or nobody waited for it.
  async find(file) {
    const { run } = file;
    const known = (await this.#known([file], () => false)).get(file.settings.key);
    if (run !== file.run || file.transferId) return;
    file.mayExist = false;
    if (known) file.transferId = known.id;
  }

  async #resumeKnown(file, known) {
    file.transferId = known.id;
    file.settings.tusUrl = known.url;
    // The verification that was chosen at its start applies, whatever the form says now.
    file.settings.isComputing = known.wants_sha256 ?? file.settings.isComputing;
    file.startFrom(known.bytes_received, null);
    if (known.state === "paused") await this.requests.deliver(file, "resume");
    if (known.state === "failed") await this.requests.deliver(file, "retry");
  }

  #queue(files) {
    for (const file of files) {
      // An empty file has no last request that could carry its digest.
      const { settings } = file;
      if (settings.isComputing && !file.size) Object.assign(settings.metadata, { verify: "", sha256: SHA256_OF_NOTHING });
      file.isExamined = true;
      this.#change(file, "queued");
    }
    this.#sender.start(files);
  }

  // --- Steps, requested here or elsewhere -------------------------------------------------------------------------------

  pause(file) {
    this.#sender.pause(file);
    this.#change(file, "paused");
  }

  // Resume at the offset that the server reports.
  resume(file) {
    if (!file.isUnsent) {
      this.#change(file, "storing");
    } else if (this.#sender.has(file)) {
      this.#change(file, "queued");
      this.#sender.resume(file);
    } else if (file.isExamined) {
      this.#queue([file]);
    } else {
      this.start([file]).catch((error) => this.#change(file, "failed", error.message));
    }
  }

  // Stop sending it from here.
  stop(file) {
    this.#sender.forget(file);
    file.settings?.job?.stop(true);
  }

  hurry(files) {
    for (const file of files) if (file.state === "interrupted") this.#sender.hurry(file);
  }

  // Another window has sent it, or the rest of it: if its bytes were the same. Returns whether they are.
  async receivedElsewhere(file) {
    const { run } = file;
    try {
      await this.#proof.upTo(file, file.size);
    } catch (error) {
      if (error.code === "OtherBytes" && run === file.run) {
        this.#sender.forget(file);
        this.#onEnded(file, { reaction: reactionTo(error), error });
      }
      return false; // Otherwise the next poll tries again.
    }
    if (run !== file.run || !file.isUnsent) return false;
    this.#sender.forget(file);
    this.#onReceived(file);
    return true;
  }

  // --- Events of the sender ---------------------------------------------------------------------------------------------

  #events() {
    return {
      started: (file) => file.state === "queued" && this.#change(file, "sending"),
      created: (file, location) => this.#onCreated(file, location),
      resuming: (file, offset) => this.#onResuming(file, offset),
      progress: (file, bytes) => this.#onProgress(file, bytes),
      accepted: (file) => file.state === "interrupted" && this.#change(file, "sending"),
      interrupted: (file, reaction) => this.#onInterrupted(file, reaction),
      received: (file) => this.#onReceived(file),
      ended: (file, ending) => this.#onEnded(file, ending),
    };
  }

  // Its transfer has bytes that this page has not sent: they have to be those of this file.
  async #onResuming(file, offset) {
    if (offset <= file.proven) return;
    const { state } = file;
    file.message = gettext("Comparing the file with what has been received.");
    this.#changed(file);
    await this.#proof.upTo(file, offset);
    if (file.state === state) file.message = "";
    this.#changed(file);
  }

  #onCreated(file, location) {
    file.discard = "";
    file.transferId = location.replace(/\/$/, "").split("/").at(-1);
    file.settings.tusUrl = location;
    if (file.state === "cancelling") this.requests.cancel(file);
    else this.#changed(file);
    // It was paused while others were sent with it.
    if (file.state === "paused") this.requests.deliver(file, "pause");
  }

  // While it is interrupted, only the server knows how much it has received.
  #onProgress(file, bytes) {
    if (file.state !== "sending") return;
    file.note(bytes, file.stored);
    file.receiveRate.add(bytes);
    this.#changed(file);
  }

  async #onInterrupted(file, reaction) {
    if (file.state === "cancelling") {
      this.requests.cancel(file);
      return;
    }
    if (file.state === "paused") {
      this.requests.deliver(file, "pause");
      return;
    }
    // What has arrived of bytes that came with its creation is not known.
    if (!file.transferId) file.startFrom(0, 0);
    file.receiveRate.reset();
    this.#change(file, "interrupted", reaction.message);
    if (reaction.kind !== "network" || (await isReadable(file))) return;
    this.stop(file);
    this.#change(file, "failed", unreadable());
  }

  #onReceived(file) {
    file.isUnsent = false;
    file.note(file.size, file.stored);
    file.settings.job?.stop(true);
    this.#change(file, file.state === "paused" ? "paused" : "storing");
  }

  #onEnded(file, { reaction, error }) {
    if (file.state === "cancelling" && !file.transferId) {
      this.#change(file, "cancelled");
      return;
    }
    if (error.status === 404) file.transferId = file.settings.tusUrl = "";
    if (reaction.kind === "busy") this.#leaveToOther(file, error);
    file.fields = error.fields;
    file.failedElsewhere = error.code === "Failed";
    const message = error.fields && reaction.kind !== "busy" ? Object.values(error.fields).join(" ") : reaction.message;
    this.#change(file, reaction.kind, message || reaction.message);
  }

  // Its key belongs to another transfer: the one that the server named, or the one that it was about to resume.
  #leaveToOther(file, error) {
    const isOwn = error.code === "OtherBytes";
    file.inTheWay = isOwn ? { id: file.transferId, url: file.page, can_discard: true } : error.transfer;
    file.settings.job?.stop(true);
    file.transferId = file.settings.tusUrl = file.page = "";
    file.startFrom(0, 0);
    file.proven = 0;
  }

  #change(file, state, message = "") {
    file.state = state;
    file.message = message;
    this.#changed(file);
  }

  // --- The digest -------------------------------------------------------------------------------------------------------

  // Bytes are hashed one chunk before they are sent, so that the last request hardly waits for the digest.
  async #headersFor(file, start, end) {
    const { settings } = file;
    if (!settings.isComputing) return {};
    settings.job ||= this.#digests.start(file.file, file.fingerprint);
    settings.job.advance(end + CHUNK);
    if (end < file.size) return {};
    file.digest = await settings.job.finish();
    return { "Partway-SHA256": file.digest };
  }
}

// crypto.randomUUID exists only over https and on localhost.
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (each) => each.toString(16).padStart(8, "0")).join("");
}

function unreadable() {
  return gettext("The file can no longer be read: it was changed, moved or deleted. Select it again.");
}

// In the browser, a request fails in the same way if the file has changed and if the connection is lost.
async function isReadable({ file, received }) {
  try {
    await file.slice(received, received + 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
