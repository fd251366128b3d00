// How often something is requested that may change: the longer it has not, the less often.

// After so many seconds without a change, a request every so many seconds.
const SLOWER = [
  [5, 2],
  [30, 5],
  [120, 15],
  [600, 60],
];

export function delayAfter(quietSeconds, fastest = 1) {
  const [, slower] = SLOWER.findLast(([after]) => quietSeconds >= after) ?? [0, 0];
  return Math.max(fastest, slower);
}
