// From chosen to all here: what a file is, whether a transfer of it goes on, and what its sending meets on the way.

import { fingerprintOf } from "./fingerprint.js";
import { Sender, CHUNK } from "./sender.js";
import { postJson } from "./server.js";

const FILES_READ_AT_A_TIME = 4;
const FILES_ASKED_AT_A_TIME = 1000;
const SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const UNREADABLE = "The file cannot be read any more: it was changed, moved or deleted. Choose it again.";

export class Sending {
  #addresses;
  #digests;
  #changed;
  #sender;

  // `orders` is set later: it needs this as well.
  orders = null;

  constructor({ addresses, digests, changed }) {
    this.#addresses = addresses;
    this.#digests = digests;
    this.#changed = changed;
    this.#sender = new Sender({
      endpoint: addresses.files,
      on: this.#events(),
      headersFor: (file, start, end) => this.#headersFor(file, start, end),
    });
  }

  // --- Before the first byte --------------------------------------------------------------------------------------------

  // Send files whose `order` says where to and how. Raises Refusal where the server cannot be asked.
  async begin(files) {
    const runs = new Map(files.map((file) => [file, file.run]));
    // One may be cancelled meanwhile, and even be sent again.
    const rest = () => files.filter((file) => file.state === "preparing" && file.run === runs.get(file));
    for (const file of files) this.#change(file, "preparing");
    try {
      await inTurns(files, FILES_READ_AT_A_TIME, (file) => this.#identify(file));
      const identified = rest();
      for (let at = 0; at < identified.length; at += FILES_ASKED_AT_A_TIME)
        await this.#findKnown(identified.slice(at, at + FILES_ASKED_AT_A_TIME));
      this.#start(rest());
    } catch (error) {
      for (const file of rest()) this.#change(file, "waiting");
      throw error;
    }
  }

  async #identify(file) {
    try {
      file.fingerprint ||= await fingerprintOf(file.file, this.#digests);
    } catch {
      this.#change(file, "failed", UNREADABLE);
      return;
    }
    file.order.metadata.fingerprint = file.fingerprint;
  }

  // Those of which a transfer lives go on with it.
  async #findKnown(files) {
    if (!files.length) return;
    const { store, bucket } = files[0].order;
    const asked = files.map(({ order, size, fingerprint }) => ({
      key: order.key,
      size,
      fingerprint,
      replace: order.metadata.replace === "on",
    }));
    const { known } = await postJson(this.#addresses.known, { store, bucket, files: asked });
    const byKey = new Map(known.map((each) => [each.key, each]));
    const found = files.filter((file) => byKey.has(file.order.key));
    await Promise.all(found.map((file) => this.#goOnWith(file, byKey.get(file.order.key))));
  }

  async #goOnWith(file, known) {
    file.transferId = known.id;
    file.order.tusUrl = known.url;
    // What was promised when it began counts, whatever the form says now.
    file.order.isComputing = known.wants_sha256 ?? file.order.isComputing;
    file.startFrom(known.bytes_received, null);
    if (known.state === "paused") await this.orders.deliver(file, "resume");
    if (known.state === "failed") await this.orders.deliver(file, "retry");
  }

  #start(files) {
    for (const file of files) {
      // An empty file has no last byte that its digest could come with.
      const { order } = file;
      if (order.isComputing && !file.size) Object.assign(order.metadata, { verify: "", sha256: SHA256_OF_NOTHING });
      this.#change(file, "queued");
    }
    this.#sender.start(files);
  }

  // --- Orders, from the operator here or from elsewhere -----------------------------------------------------------------

  pause(file) {
    this.#sender.pause(file);
    this.#change(file, "paused");
  }

  // Go on from where the server says the file stands.
  goOn(file) {
    if (!file.isUnsent) {
      this.#change(file, "storing");
    } else if (this.#sender.has(file)) {
      this.#change(file, "queued");
      this.#sender.resume(file);
    } else {
      this.#start([file]);
    }
  }

  // Nothing more of it is sent from here.
  stop(file) {
    this.#sender.forget(file);
    file.order?.job?.stop(true);
  }

  hurry(files) {
    for (const file of files) if (file.state === "held") this.#sender.hurry(file);
  }

  allHere(file) {
    this.#sender.forget(file);
    this.#onReceived(file);
  }

  // --- What happens on the way ------------------------------------------------------------------------------------------

  #events() {
    return {
      started: (file) => file.state === "queued" && this.#change(file, "sending"),
      created: (file, location) => this.#onCreated(file, location),
      progress: (file, bytes) => this.#onProgress(file, bytes),
      accepted: (file) => file.state === "held" && this.#change(file, "sending"),
      held: (file, verdict) => this.#onHeld(file, verdict),
      received: (file) => this.#onReceived(file),
      ended: (file, ending) => this.#onEnded(file, ending),
    };
  }

  #onCreated(file, location) {
    file.transferId = location.replace(/\/$/, "").split("/").at(-1);
    file.order.tusUrl = location;
    if (file.state === "cancelling") this.orders.cancel(file);
    else this.#changed(file);
  }

  // While it is held, only the server knows how much has come.
  #onProgress(file, bytes) {
    if (file.state !== "sending") return;
    file.note(bytes, file.stored);
    file.receiveRate.add(bytes);
    this.#changed(file);
  }

  async #onHeld(file, verdict) {
    if (file.state === "cancelling") {
      this.#change(file, "cancelled");
      this.stop(file);
      return;
    }
    file.receiveRate.reset();
    this.#change(file, "held", verdict.words);
    file.heldFor = verdict.kind;
    if (verdict.kind !== "network" || (await isReadable(file))) return;
    this.stop(file);
    this.#change(file, "failed", UNREADABLE);
  }

  #onReceived(file) {
    file.isUnsent = false;
    file.note(file.size, file.stored);
    file.order.job?.stop(true);
    this.#change(file, "storing");
  }

  #onEnded(file, { verdict, refusal }) {
    if (file.state === "cancelling" && !file.transferId) {
      this.#change(file, "cancelled");
      return;
    }
    if (refusal.status === 404) file.transferId = file.order.tusUrl = "";
    file.fields = refusal.fields;
    file.failedElsewhere = refusal.code === "Failed";
    const words = refusal.fields ? Object.values(refusal.fields).join(" ") : verdict.words;
    this.#change(file, verdict.kind, words || verdict.words);
  }

  #change(file, state, words = "") {
    file.state = state;
    file.words = words;
    this.#changed(file);
  }

  // --- The digest -------------------------------------------------------------------------------------------------------

  // Bytes are hashed a chunk ahead of their sending, so that the request with the last one hardly waits.
  async #headersFor(file, start, end) {
    const { order } = file;
    if (!order.isComputing) return {};
    order.job ||= this.#digests.begin(file.file, file.fingerprint);
    order.job.advance(end + CHUNK);
    if (end < file.size) return {};
    file.digest = await order.job.finish();
    return { "Partway-SHA256": file.digest };
  }
}

// To a page, a file that has changed looks like a lost connection.
async function isReadable({ file, received }) {
  try {
    await file.slice(received, received + 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

async function inTurns(items, atATime, work) {
  const rest = [...items];
  const worker = async () => {
    while (rest.length) await work(rest.shift());
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}

