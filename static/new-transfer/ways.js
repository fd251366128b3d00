// How requests with bytes of files pass the proxies in front of Partway: what this tab has learned, for all of its files. A
// proxy may block PATCH and HEAD, which then go as POST with X-HTTP-Method-Override, limit the size of requests, and refuse
// bytes that come with a creation, which then follow it in a request of their own. They may refuse requests with several files.

const KIB = 1024;
export const CHUNK = 64 * KIB * KIB;
// The size of the first request after a failure. A browser sends all of a body even if the server refuses it.
const PROBE = 256 * KIB;
// A proxy that refuses even this is not worth adapting to.
const LEAST = 16 * KIB;
// What servers respond to a method that they do not allow. Others close the connection, or respond with 404 or 502.
const BLOCKED = new Set([400, 403, 405, 406, 411, 415, 501]);
const NOT_ABOUT_THE_METHOD = new Set([401, 407, 408, 413, 425, 429, 431]);
const FAILURES_IN_A_ROW = 2;
const CREATION = "creation with bytes";
const TOGETHER = "several files";
const MOST_TOGETHER = 16 * KIB * KIB;
const LEAST_TOGETHER = 64 * KIB;

export class Ways {
  #key;
  #worked = new Set(); // Methods with which bytes have passed.
  overridden = new Set(); // Methods that go as POST.
  limit = Infinity; // Requests of this size have been refused.
  #creationLimit = Infinity; // Creations with so many bytes have been refused.
  #togetherLimit = Infinity; // Requests with several files and so many bytes have been refused.

  // `endpoint` separates the sites of one host. What was learned is kept for the session of the tab.
  constructor(endpoint) {
    this.#key = `partway-ways ${endpoint}`;
    try {
      const { overridden, limit, creationLimit, togetherLimit } = JSON.parse(sessionStorage.getItem(this.#key)) || {};
      this.overridden = new Set(overridden);
      this.limit = limit || Infinity;
      this.#creationLimit = creationLimit ?? Infinity;
      this.#togetherLimit = togetherLimit ?? Infinity;
    } catch {
      // The browser refuses storage: each page learns it again.
    }
  }

  // --- The size of requests -----------------------------------------------------------------------------------------------

  // For a file that has sent nothing.
  get firstSize() {
    let size = CHUNK;
    while (size >= this.limit && size > LEAST) size /= 2;
    return size;
  }

  // After requests of `size` have passed: it grows step by step, because a failed request is sent again as a whole.
  sizeAfter(size) {
    return Math.min(size * 2, this.firstSize);
  }

  // After any failure.
  get smallSize() {
    return Math.min(PROBE, this.firstSize);
  }

  // A proxy has refused a request of `size` as too large. Returns whether smaller ones make sense.
  refuse(size) {
    if (size <= LEAST) return false;
    this.limit = Math.min(this.limit, size);
    this.#keep();
    return true;
  }

  // --- Bytes that come with a creation ----------------------------------------------------------------------------------

  // Whether a creation may carry a file of `size`.
  takesWithCreation(size) {
    return size < this.#creationLimit && size <= this.firstSize;
  }

  workWithCreation() {
    this.#worked.add(CREATION);
  }

  // A creation with `size` bytes failed without a response of Partway, `count` times in a row for its file. Returns whether
  // its file is created without bytes from now on.
  failWithCreation({ status, proxy }, size, count) {
    if (proxy?.isRedirect) return false;
    if (status === 413 || BLOCKED.has(status)) {
      this.#creationLimit = status === 413 ? Math.min(this.#creationLimit, size) : 0;
      this.#keep();
      return true;
    }
    // The line may be down just now, so nothing is learned for other files.
    return !NOT_ABOUT_THE_METHOD.has(status) && count >= FAILURES_IN_A_ROW && !this.#worked.has(CREATION);
  }

  // --- Several files in one request -------------------------------------------------------------------------------------

  // The most bytes of a request with several files; 0 if there is to be none.
  get togetherSize() {
    let size = MOST_TOGETHER;
    while (size >= Math.min(this.limit, this.#togetherLimit) && size >= LEAST_TOGETHER) size /= 2;
    return size < LEAST_TOGETHER ? 0 : size;
  }

  // Whether a file of `size` may be in such a request, with room for another.
  takesTogether(size) {
    return size <= this.togetherSize / 2;
  }

  workTogether() {
    this.#worked.add(TOGETHER);
  }

  // A request with several files, of `size` bytes, failed as a whole, `count` times in a row. Returns whether such requests
  // are smaller from now on, or are not sent any more. An older Partway does not know them.
  failTogether({ status, proxy }, size, count) {
    const isUnknown = !proxy && (status === 404 || status === 405);
    if (proxy?.isRedirect || (status && !proxy && !isUnknown)) return false;
    if (status === 413 || isUnknown || BLOCKED.has(status)) {
      this.#togetherLimit = status === 413 ? Math.min(this.#togetherLimit, size) : 0;
      this.#keep();
      return true;
    }
    if (NOT_ABOUT_THE_METHOD.has(status) || count < FAILURES_IN_A_ROW || this.#worked.has(TOGETHER)) return false;
    // The line may be down just now: other pages try it again.
    this.#togetherLimit = 0;
    return true;
  }

  // --- Methods ------------------------------------------------------------------------------------------------------------

  // The request passed as `sentAs`, such as PATCH or POST.
  work(sentAs) {
    this.#worked.add(sentAs);
  }

  // A request failed without a response of Partway, `count` times in a row for its file. Returns whether its method is sent as
  // POST from now on. Between two failures of PATCH, a HEAD has succeeded.
  fail({ status, method, proxy }, sentAs, count) {
    if (sentAs !== method || method === "POST") return false;
    if (this.overridden.has(method)) return true; // Another file has learned it.
    if (proxy?.isRedirect || NOT_ABOUT_THE_METHOD.has(status)) return false;
    const isRepeated = method === "PATCH" && count >= FAILURES_IN_A_ROW && !this.#worked.has(method);
    if (!BLOCKED.has(status) && !isRepeated) return false;
    this.overridden.add(method);
    this.#keep();
    return true;
  }

  #keep() {
    const limit = this.limit === Infinity ? 0 : this.limit;
    const [creationLimit, togetherLimit] = [this.#creationLimit, this.#togetherLimit].map(finite);
    const learned = { overridden: [...this.overridden], limit, creationLimit, togetherLimit };
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(learned));
    } catch {
      // See the constructor.
    }
  }
}

const finite = (limit) => (limit === Infinity ? undefined : limit);
