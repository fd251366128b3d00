// The states of a selected file: the text and tone that the page shows, and the steps that each state allows.

const state = (text, tone, ...steps) => ({ text, tone, steps });

const STATES = {
  waiting: state(() => gettext("not sent yet"), "idle", "edit", "remove"),
  preparing: state(() => gettext("preparing"), "busy", "pause", "cancel"),
  queued: state(() => gettext("queued"), "wait", "pause", "cancel"),
  sending: state(() => gettext("sending"), "busy", "pause", "cancel"),
  interrupted: state(() => gettext("interrupted"), "warn", "pause", "cancel"),
  paused: state(() => gettext("paused"), "wait", "resume", "cancel"),
  storing: state(() => gettext("sending to the store"), "busy", "pause", "cancel"),
  done: state(() => gettext("done"), "good", "remove"),
  failed: state(() => gettext("failed"), "bad", "retry", "discard"),
  cancelling: state(() => gettext("cancelling"), "warn"),
  cancelled: state(() => gettext("cancelled"), "idle", "again", "remove"),
  confirm: state(() => gettext("object exists"), "warn", "replace", "edit", "remove"),
  busy: state(() => gettext("key in use"), "warn", "takeover", "edit", "remove"),
  refused: state(() => gettext("refused"), "bad", "again", "edit", "remove"),
};

// This browser sends the bytes of these files or will send them: leaving the page would stop that.
const NEEDS_THE_PAGE = new Set(["preparing", "queued", "sending", "interrupted"]);
const FINAL = new Set(["done", "cancelled"]);
const SENDABLE = new Set(["waiting", "refused"]);
const NOT_STARTED = new Set(["waiting", "refused", "confirm", "busy"]);

export const needsThePage = (file) => NEEDS_THE_PAGE.has(file.state) && file.isUnsent;
export const isFinal = (file) => FINAL.has(file.state);
export const isSendable = (file) => SENDABLE.has(file.state);
// The form's fields still determine its key.
export const isNotStarted = (file) => NOT_STARTED.has(file.state);
export const isInProgress = (file) => !isNotStarted(file) && !isFinal(file) && file.state !== "failed";
// The operator has to decide whether it replaces an object, or discards a transfer.
export const needsDecision = (file) => file.state === "confirm" || file.state === "busy";
export const needsTheOperator = (file) => needsDecision(file) || file.state === "failed" || file.state === "refused";

export const toneOf = (file) => STATES[file.state].tone;

export function textOf(file) {
  if (file.state === "storing" && file.isCompleting) return gettext("completing");
  return STATES[file.state].text();
}

export function stepsOf(file) {
  const { steps } = STATES[file.state];
  if (file.state === "storing" && file.isCompleting) return [];
  // A transfer that is being completed, or another operator's, cannot be discarded.
  if (file.state === "busy" && !file.inTheWay?.can_discard) return ["again", "edit", "remove"];
  if (file.state !== "failed") return steps;
  // A file without a transfer has nothing to discard.
  if (!file.transferId) return ["again", "edit", "remove"];
  return file.canRetry ? ["retry", "discard"] : ["discard"];
}
