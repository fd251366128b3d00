// Keys as the server's pages show them (dashboard/shared/formatting.py): with marks for what cannot be seen, so that
// different keys look different.

const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\p{Cs}\p{Co}\p{Cn}\p{DI}\u2800]/u;
const PLAIN = /^(?! )[\x20-\x7e]*(?<! )$/;

const isComposed = (text) => text === text.normalize("NFC");
const isMixed = (text) => !isComposed(text) && text !== text.normalize("NFD");
const codeOf = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

export function showKey(element, key) {
  if (PLAIN.test(key)) element.textContent = key;
  else element.replaceChildren(...pieces(key));
}

function pieces(key) {
  const start = /^ */.exec(key)[0].length;
  const end = start < key.length ? / *$/.exec(key)[0].length : 0;
  const spaces = (count) => Array.from({ length: count }, () => mark("\u2423", gettext("space")));
  const body = key.slice(start, key.length - end);
  const shown = isMixed(body) ? clusters(body).flatMap(clusterPieces) : [...body].map(shownCharacter);
  return [...spaces(start), ...shown, ...spaces(end), ...composition(key)];
}

function shownCharacter(character) {
  if (character === " " || !INVISIBLE.test(character)) return character;
  return mark(pictureOf(character) || codeOf(character), codeOf(character));
}

// Unicode's symbols for the control characters.
function pictureOf(character) {
  const code = character.codePointAt(0);
  if (code === 0x7f) return "\u2421";
  return code < 0x20 ? String.fromCodePoint(0x2400 + code) : "";
}

function clusterPieces(cluster) {
  const shown = [...cluster].map(shownCharacter);
  return isComposed(cluster) ? shown : [...shown, mark([...cluster].map(codeOf).join(" "))];
}

// The text in pieces, each of which composes only within itself.
function clusters(text) {
  const found = [];
  for (const character of text) {
    const last = found.at(-1);
    const isApart =
      last === undefined ||
      (last + character).normalize("NFC") === last.normalize("NFC") + character.normalize("NFC");
    if (isApart) found.push(character);
    else found[found.length - 1] += character;
  }
  return found;
}

function composition(key) {
  if (isComposed(key) || isMixed(key)) return [];
  const title = gettext("The key has decomposed characters (Unicode NFD), as macOS writes file names.");
  const badge = mark("NFD", title);
  badge.classList.add("ctl-nfd");
  return [badge];
}

function mark(text, title = "") {
  const element = document.createElement("span");
  element.className = "ctl";
  element.textContent = text;
  if (title) element.title = title;
  return element;
}
