// What a failed request of the browser leg means for its file: whether it is retried, and the message.

import { isPassing } from "../responses.js";
import { fill } from "./formatting.js";

// `retries`: it is retried automatically, and `kind` is the cause. Otherwise `kind` is the state in which the file ends.
const retry = (kind, message) => ({ retries: true, kind, message });
const end = (kind, message = "") => ({ retries: false, kind, message });

const signIn = () => retry("session", gettext("Your session has ended. Sign in again, and sending resumes automatically."));
const stagingIsFull = () =>
  retry("quota", gettext("Staging is full. The upload resumes automatically when space is free."));
const otherWindow = () => retry("locked", gettext("Another window is sending this file. Its progress is shown here."));
const isBusy = () => retry("server", gettext("Partway is busy. Retrying."));

export const smallerRequests = () =>
  retry("proxy", gettext("A proxy refused a request of this size. Sending smaller requests."));
// A proxy has refused bytes that came with a creation.
export const bytesLater = (error) => (error.status === 413 ? smallerRequests() : retry("proxy", error.message));
export const withOverride = () =>
  retry("proxy", gettext("A proxy blocks a method of HTTP that sending files uses. Sending with POST instead."));

// A transfer that is being cancelled leaves the key in a moment.
function keyBusy({ transfer, message }) {
  return transfer?.state === "cancelling" ? retry("server", message) : end("busy", message);
}

// The server says which limit of the user was reached, and what to do if waiting is not enough.
const limitOfUser = ({ message }) => retry("limit", message);

const BY_CODE = {
  TooManyCreations: isBusy,
  TooManyConnections: limitOfUser,
  TooManyTransfers: limitOfUser,
  UserStagingFull: limitOfUser,
  GaveWay: limitOfUser,
  NoRoom: stagingIsFull,
  DatabaseFull: ({ message }) => retry("server", message),
  Locked: otherWindow,
  Paused: () => end("paused"),
  Failed: () => end("failed"),
  ObjectExists: () => end("confirm", gettext("An object with this key already exists.")),
  KeyBusy: keyBusy,
  OtherBytes: ({ message }) => end("busy", message),
  CsrfFailed: signIn,
  CsrfCookieMissing: signIn,
};

const BY_STATUS = {
  0: () => retry("network", gettext("The connection is lost. Sending resumes automatically when it is back.")),
  401: signIn,
  404: () => end("failed", gettext("This transfer no longer exists.")),
  408: () => retry("server", gettext("The connection was too slow. Retrying.")),
  410: () => end("cancelled", gettext("The transfer was cancelled elsewhere, or has expired.")),
  423: otherWindow,
  425: isBusy,
  429: isBusy,
  460: () => retry("server", gettext("Bytes were damaged on the way. Sending them again.")),
  507: stagingIsFull,
};

export function reactionTo(error) {
  const { status, code, method, message, proxy } = error;
  if (proxy) return reactionToProxy(proxy, method, message);
  if (code === "HeaderRemoved") return end("failed", headerRemoved(fill(gettext("The response has no %(name)s."), { name: message })));
  // This page sends all headers, and valid ones.
  if (["InvalidHeader", "WrongTusVersion"].includes(code)) return end(unsent(method), headerRemoved(message));
  const known = BY_CODE[code] || BY_STATUS[status];
  if (known) return known(error);
  // A 409 to a PATCH means a wrong offset, so the offset is read again. A 409 to a POST means that the key is taken.
  if (status === 409 && method !== "POST") return retry("server", gettext("Checking how much has been received."));
  if (status >= 500) return retry("server", code ? message : gettext("Partway does not respond. Retrying."));
  return end(unsent(method), message);
}

const unsent = (method) => (method === "POST" ? "refused" : "failed");

const headerRemoved = (message) =>
  fill(gettext("%(message)s A proxy in front of Partway removes or changes headers of tus."), { message });

function reactionToProxy(proxy, method, message) {
  if (isPassing(proxy)) return retry(proxy.isRedirect ? "session" : "server", message);
  return end(unsent(method), message);
}
