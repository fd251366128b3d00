// Files of the list with the same key. Only the first of them is sent: the others would replace its object.

import { fill } from "./formatting.js";
import { isFinal, isNotStarted } from "./states.js";

const nameOf = ({ store, bucket, key }) => JSON.stringify([store, bucket, key]);

// A file that failed is no obstacle: the server knows whether its transfer is.
const hasItsKey = (file) => !isNotStarted(file) && !isFinal(file) && file.state !== "failed" && file.settings;

// The files that are on their way to a key, by their destination.
export function keysInUse(files) {
  const inUse = new Map();
  for (const file of files) if (hasItsKey(file)) inUse.set(nameOf(file.settings), file);
  return inUse;
}

// The file that has the key of these settings; the settings are noted as those of `file` if there is none.
export function takeKey(inUse, settings, file) {
  const name = nameOf(settings);
  const other = inUse.get(name);
  if (!other) inUse.set(name, file);
  return other === file ? undefined : other;
}

// Notes at each file that is not started yet which other file has its key. Returns the files whose note has changed.
export function noteTwins(files, destinationOf) {
  const inUse = keysInUse(files);
  const changed = [];
  for (const file of files) {
    const twin = (isNotStarted(file) && takeKey(inUse, destinationOf(file), file)) || null;
    if (twin !== file.twin) changed.push(file);
    file.twin = twin;
  }
  return changed;
}

export function twinText(twin) {
  const text = gettext("Another file in this list has the same key: %(file)s. Edit one of the keys.");
  return fill(text, { file: twin.path });
}
