// How fast a number of bytes grows: an average over the last seconds.

const SECONDS = 8;
const LEAST_SECONDS = 0.4;

export class Rate {
  #samples = [];

  add(bytes) {
    const now = performance.now() / 1000;
    const last = this.#samples.at(-1);
    // The number can decrease after a crash of the server: the rate starts again then.
    if (last && bytes < last[1]) this.#samples = [];
    this.#samples.push([now, bytes]);
    while (this.#samples.length > 2 && now - this.#samples[0][0] > SECONDS) this.#samples.shift();
  }

  reset() {
    this.#samples = [];
  }

  get perSecond() {
    if (this.#samples.length < 2) return 0;
    const [since, before] = this.#samples[0];
    const [until, now] = this.#samples.at(-1);
    // The rate decreases if nothing has moved for two seconds.
    const seconds = Math.max(until, performance.now() / 1000 - 2) - since;
    return seconds > LEAST_SECONDS ? (now - before) / seconds : 0;
  }
}
