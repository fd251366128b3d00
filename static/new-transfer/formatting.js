// Sizes, counts, durations and rates in the language of the page, as the server writes them
// (dashboard/shared/formatting.py).

const language = document.documentElement.lang;
const formats = new Map();

// A number with this many digits after the decimal point.
export function numberText(value, digits = 0) {
  if (!formats.has(digits)) {
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    formats.set(digits, new Intl.NumberFormat(language, options));
  }
  return formats.get(digits).format(value);
}

// A text with values in place of its %(name)s. Whole numbers get thousands separators. As in Python, %% is a percent sign,
// which Django's interpolate() does not handle.
export function fill(text, values) {
  const shown = Object.entries(values).map(([name, value]) => [name, Number.isInteger(value) ? numberText(value) : value]);
  return interpolate(text.replaceAll("%%", "%"), Object.fromEntries(shown), true);
}

export function exactBytesText(size) {
  return fill(ngettext("%(count)s byte", "%(count)s bytes", size), { count: size });
}

export function bytesText(size) {
  if (size < 1024) return exactBytesText(size);
  const units = [
    gettext("%(number)s KiB"),
    gettext("%(number)s MiB"),
    gettext("%(number)s GiB"),
    gettext("%(number)s TiB"),
    gettext("%(number)s PiB"),
  ];
  let value = size;
  let unit = -1;
  do {
    value /= 1024;
    unit += 1;
  } while (value >= 999.5 && unit < units.length - 1);
  return fill(units[unit], { number: numberText(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0) });
}

// The two largest units: "2 h 5 min", "40 s".
export function durationText(seconds) {
  const rest = Math.max(1, Math.round(seconds));
  const amounts = {
    days: Math.floor(rest / 86400),
    hours: Math.floor(rest / 3600) % 24,
    minutes: Math.floor(rest / 60) % 60,
    seconds: rest % 60,
  };
  if (amounts.days) return fill(amounts.hours ? gettext("%(days)s d %(hours)s h") : gettext("%(days)s d"), amounts);
  if (amounts.hours) return fill(amounts.minutes ? gettext("%(hours)s h %(minutes)s min") : gettext("%(hours)s h"), amounts);
  if (amounts.minutes)
    return fill(amounts.seconds ? gettext("%(minutes)s min %(seconds)s s") : gettext("%(minutes)s min"), amounts);
  return fill(gettext("%(seconds)s s"), amounts);
}

// Rounded down: 100 means all of it. An empty file has no bytes to count: `isWhole` says whether it is there.
export function percent(value, size, isWhole = false) {
  if (!size) return isWhole ? 100 : 0;
  return Math.floor((Math.min(value, size) * 100) / size);
}

export function percentText(whole) {
  return fill(gettext("%(percent)s%%"), { percent: whole });
}

export function filesText(count) {
  return fill(ngettext("%(count)s file", "%(count)s files", count), { count });
}

// "4.20 MiB/s · about 3 s left"; empty while the rate is not known.
export function rateText(bytesPerSecond, bytesLeft) {
  if (!bytesPerSecond) return "";
  const rate = fill(gettext("%(size)s/s"), { size: bytesText(Math.round(bytesPerSecond)) });
  if (!bytesLeft) return rate;
  return fill(gettext("%(rate)s · about %(duration)s left"), { rate, duration: durationText(bytesLeft / bytesPerSecond) });
}
