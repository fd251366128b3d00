// Sizes, times and counts in words, as the server's pages write them (dashboard/formatting.py).

const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytesText(size) {
  if (size < 1024) return size === 1 ? "1 byte" : `${size} bytes`;
  let value = size;
  let unit = -1;
  do {
    value /= 1024;
    unit += 1;
  } while (value >= 999.5 && unit < UNITS.length - 1);
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${UNITS[unit]}`;
}

export function durationText(seconds) {
  const rest = Math.max(1, Math.round(seconds));
  const amounts = [
    [Math.floor(rest / 86400), "d"],
    [Math.floor(rest / 3600) % 24, "h"],
    [Math.floor(rest / 60) % 60, "min"],
    [rest % 60, "s"],
  ];
  const shown = amounts.filter(([count]) => count).slice(0, 2);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(" ");
}

// Rounded down: 100 means all of it. An empty file has nothing to count: `whole` says whether it is there.
export function percent(value, size, whole = false) {
  if (!size) return whole ? 100 : 0;
  return Math.floor((Math.min(value, size) * 100) / size);
}

export function countText(count, one, several) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
}

// "4.20 MiB/s · about 3 s left"; empty while there is nothing to go by.
export function paceText(bytesPerSecond, bytesLeft) {
  if (!bytesPerSecond) return "";
  const left = bytesLeft ? ` · about ${durationText(bytesLeft / bytesPerSecond)} left` : "";
  return `${bytesText(Math.round(bytesPerSecond))}/s${left}`;
}
