// What an operator has selected in a list stays selected when the list is updated (static/polling.js).

let selected = new Set();

const boxesIn = (root) => root.querySelectorAll("input[type=checkbox][name=id]");

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  selected = new Set([...boxesIn(detail.target)].filter((box) => box.checked).map((box) => box.value));
});

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  for (const box of boxesIn(document.getElementById(detail.target.id) ?? document)) box.checked = selected.has(box.value);
});

document.addEventListener("click", ({ target }) => {
  for (const menu of document.querySelectorAll("details.list-menu[open]")) if (!menu.contains(target)) menu.open = false;
});

document.addEventListener("keydown", ({ key }) => {
  const menu = key === "Escape" && document.querySelector("details.list-menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
