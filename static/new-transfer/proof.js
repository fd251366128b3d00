// Compares what the server has received with the file before it is resumed. The fingerprint of a file covers samples of its
// bytes; here every received byte is compared, by the CRC-64 of each part, so that an object is never made of two files.

import { RequestError, getJson } from "./server.js";

export class Proof {
  #transfers;
  #digests;

  constructor({ transfers, digests }) {
    this.#transfers = transfers;
    this.#digests = digests;
  }

  // Throws RequestError: OtherBytes if the bytes differ.
  async upTo(file, offset) {
    while (file.proven < offset) {
      const { algorithm, ranges, next } = await getJson(
        `${this.#transfers}${file.transferId}/received/?from=${file.proven}`,
      );
      for (const range of ranges) await this.#compare(file, range, algorithm);
      if (next === null) return;
    }
  }

  // Parts that an earlier version of Partway has sent have no digest.
  async #compare(file, { start, size, crc64 }, algorithm) {
    const end = start + size;
    if (crc64 !== null && end > file.proven) {
      const own = await this.#digests.crc64Of(file.file, start, end, algorithm);
      if (own !== crc64) throw new RequestError({ status: 409, code: "OtherBytes", method: "HEAD", message: otherBytes() });
    }
    file.proven = Math.max(file.proven, end);
  }
}

function otherBytes() {
  return gettext(
    "An unfinished transfer to this key has received other bytes than this file has, although name, size and date are the " +
      "same. Discard it to send this file, or edit the key.",
  );
}
