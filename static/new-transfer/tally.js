// What the page shows of all files together, counted in one pass: with thousands of files, one pass for each number would
// take longer than sending them.

import { isFinal, isInProgress, isNotStarted, isSendable, needsDecision, needsTheOperator, needsThePage, stepsOf } from "./states.js";

export function tallyOf(files) {
  const tally = {
    count: 0,
    size: 0,
    started: { count: 0, size: 0, received: 0, stored: 0, first: null },
    moved: { received: 0, stored: 0 },
    isReceived: true,
    isStored: true,
    needsThePage: false,
    done: 0,
    inProgress: 0,
    decisions: 0,
    failed: 0,
    cancelled: 0,
    waiting: 0,
    notStarted: 0,
    sendable: 0,
    final: 0,
    sameKeys: 0,
    steps: {},
  };
  for (const file of files) add(tally, file);
  return tally;
}

function add(tally, file) {
  tally.count += 1;
  tally.size += file.size;
  for (const step of stepsOf(file)) tally.steps[step] = (tally.steps[step] || 0) + 1;
  if (isNotStarted(file)) tally.notStarted += 1;
  else if (file.state !== "cancelled") addStarted(tally, file);
  if (isSendable(file)) tally.sendable += 1;
  if (isFinal(file)) tally.final += 1;
  if (file.twin) tally.sameKeys += 1;
  addState(tally, file);
}

function addState(tally, file) {
  if (file.state === "done") tally.done += 1;
  else if (file.state === "cancelled") tally.cancelled += 1;
  else if (file.state === "waiting") tally.waiting += 1;
  else if (needsDecision(file)) tally.decisions += 1;
  else if (needsTheOperator(file)) tally.failed += 1;
  else if (isInProgress(file)) tally.inProgress += 1;
}

function addStarted(tally, file) {
  const { started } = tally;
  started.count += 1;
  started.size += file.size;
  started.received += file.received || 0;
  started.stored += file.stored || 0;
  started.first ||= file;
  tally.moved.received += file.moved.received;
  tally.moved.stored += file.moved.stored;
  tally.isReceived &&= !file.isUnsent;
  tally.isStored &&= file.state === "done";
  tally.needsThePage ||= needsThePage(file);
}
