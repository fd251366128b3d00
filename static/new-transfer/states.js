// The states a chosen file can be in, as the page shows them, and which steps each allows.

const shown = (word, tone, ...steps) => ({ word, tone, steps });

const STATES = {
  waiting: shown("not sent yet", "idle", "edit", "remove"),
  preparing: shown("preparing", "busy", "cancel"),
  queued: shown("waiting for its turn", "wait", "pause", "cancel"),
  sending: shown("sending", "busy", "pause", "cancel"),
  held: shown("waiting", "warn", "pause", "cancel"),
  paused: shown("paused", "wait", "resume", "cancel"),
  storing: shown("to the store", "busy", "pause", "cancel"),
  done: shown("done", "good", "remove"),
  failed: shown("failed", "bad", "retry", "discard"),
  cancelling: shown("being cancelled", "warn"),
  cancelled: shown("cancelled", "idle", "again", "remove"),
  confirm: shown("object exists", "warn", "replace", "edit", "remove"),
  refused: shown("refused", "bad", "again", "edit", "remove"),
};

// Bytes of these are on their way from this browser, or wait to be: leaving the page would stop them.
const HELD_BY_THE_PAGE = new Set(["preparing", "queued", "sending", "held"]);
const FINAL = new Set(["done", "cancelled"]);
const SENDABLE = new Set(["waiting", "refused"]);
const UNBEGUN = new Set(["waiting", "refused", "confirm"]);

export const needsThePage = (file) => HELD_BY_THE_PAGE.has(file.state) && file.isUnsent;
export const isFinal = (file) => FINAL.has(file.state);
export const isSendable = (file) => SENDABLE.has(file.state);
// It belongs to the form still: its key follows the form's fields.
export const isUnbegun = (file) => UNBEGUN.has(file.state);
export const isUnderWay = (file) => !isUnbegun(file) && !isFinal(file) && file.state !== "failed";
export const needsTheOperator = (file) => ["failed", "refused", "confirm"].includes(file.state);

export function stateOf(file) {
  return STATES[file.state];
}

export function wordOf(file) {
  if (file.state === "storing" && file.isCompleting) return "completing";
  return STATES[file.state].word;
}

export function stepsOf(file) {
  const { steps } = STATES[file.state];
  if (file.state === "storing" && file.isCompleting) return [];
  if (file.state !== "failed") return steps;
  // What never became a transfer has nothing to discard.
  if (!file.transferId) return ["again", "edit", "remove"];
  return file.canRetry ? ["retry", "discard"] : ["discard"];
}
