// A short identifier of a file's content: its name, size, time and a digest of samples of its bytes. Files with the same
// fingerprint are treated as the same file, so that a transfer resumes with the bytes it started with.

const VERSION = "f1";
const SAMPLES = 16;
const SAMPLE_BYTES = 64 * 1024;

export async function fingerprintOf(file, digests) {
  const facts = new TextEncoder().encode(JSON.stringify([file.name, file.size, file.lastModified]));
  const sampled = isCovered(file) ? joined(facts, await file.arrayBuffer()) : await new Blob([facts, ...samplesOf(file)]).arrayBuffer();
  return `${VERSION}:${await sha256(sampled, digests)}`;
}

// Whether the fingerprint covers all bytes of the file: a transfer with the same fingerprint has no others.
export const isCovered = (file) => file.size <= SAMPLES * SAMPLE_BYTES;

// Evenly spread, with the first and the last bytes.
function samplesOf(file) {
  const step = (file.size - SAMPLE_BYTES) / (SAMPLES - 1);
  const starts = Array.from({ length: SAMPLES }, (_, number) => Math.floor(number * step));
  return starts.map((start) => file.slice(start, start + SAMPLE_BYTES));
}

// Browsers offer crypto.subtle only over https and on localhost.
async function sha256(bytes, digests) {
  if (!globalThis.crypto?.subtle) return digests.ofBytes(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The bytes that a Blob of both would have, without a Blob for each small file.
function joined(facts, content) {
  const bytes = new Uint8Array(facts.length + content.byteLength);
  bytes.set(facts);
  bytes.set(new Uint8Array(content), facts.length);
  return bytes.buffer;
}
