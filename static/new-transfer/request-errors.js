// What a refused request of the browser leg means for its file: whether trying again helps, and what to say.

// `again`: it is tried again by itself, and `kind` says what it waits for. Else `kind` is the state it ends in.
const wait = (kind, words) => ({ again: true, kind, words });
const end = (kind, words = "") => ({ again: false, kind, words });

const SIGN_IN = "Your session has ended. Sending goes on by itself once you are signed in again.";

const BY_CODE = {
  NoRoom: () => wait("room", "Staging is full. Sending goes on by itself as soon as there is room."),
  Locked: () => wait("locked", "Another window is sending this file; its progress is shown."),
  Paused: () => end("paused"),
  Failed: () => end("failed"),
  ObjectExists: () => end("confirm", "An object has this key already."),
  CsrfFailed: () => wait("session", SIGN_IN),
};

const BY_STATUS = {
  0: () => wait("network", "The connection is lost. Sending goes on by itself when it is back."),
  401: () => wait("session", SIGN_IN),
  404: () => end("failed", "Partway does not know this transfer any more."),
  408: () => wait("server", "The connection was too slow; it is tried again."),
  410: () => end("cancelled", "Cancelled elsewhere, or expired."),
  423: () => wait("locked", "Another window is sending this file; its progress is shown."),
  425: () => wait("server", "Partway is busy; it is tried again."),
  429: () => wait("server", "Partway is busy; it is tried again."),
  460: () => wait("server", "Bytes were damaged on the way; they are sent again."),
  507: () => wait("room", "Staging is full. Sending goes on by itself as soon as there is room."),
};

export function judge(refusal) {
  const { status, code, method, message } = refusal;
  const known = BY_CODE[code] || BY_STATUS[status];
  if (known) return known();
  // To a wrong offset the answer is to look where the file stands; to a creation it says that the key is taken.
  if (status === 409 && method !== "POST") return wait("server", "Looking where the file stands.");
  if (status >= 500) return wait("server", refusal.code ? message : "Partway does not answer; it is tried again.");
  return end(method === "POST" ? "refused" : "failed", message);
}
