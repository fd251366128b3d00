// Whether two selected files are the same file: their bytes decide, since a copy keeps name, size and date.

const SLICE = 4 * 1024 * 1024;
// Larger files count as different: reading them twice would take too long, and nothing is lost if both are in the list.
const LARGEST = 64 * 1024 * 1024;

export async function areSame(one, other) {
  if (one.size !== other.size || one.size > LARGEST) return false;
  try {
    for (let at = 0; at < one.size; at += SLICE) if (!(await isSameSlice(one, other, at))) return false;
    return true;
  } catch {
    return false; // A file that cannot be read is reported when it is sent.
  }
}

async function isSameSlice(one, other, at) {
  const read = async (file) => new Uint8Array(await file.slice(at, at + SLICE).arrayBuffer());
  const [left, right] = await Promise.all([read(one), read(other)]);
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
