// Improves the pages if JavaScript runs. Every page works without it. Its hooks are data attributes.
(() => {
  const numbers = new Intl.NumberFormat(document.documentElement.lang);
  const boxes = (form, name) => [...form.querySelectorAll(`input[type=checkbox][name="${name}"]:enabled`)];

  function showSelection(form) {
    for (const button of form.querySelectorAll("[data-needs-selection]")) {
      const count = boxes(form, button.dataset.needsSelection).filter((box) => box.checked).length;
      button.disabled = count === 0;
      const counter = button.querySelector("[data-count]");
      if (counter) counter.textContent = count ? ` (${numbers.format(count)})` : "";
    }
    for (const all of form.querySelectorAll("[data-select-all]")) {
      const rows = boxes(form, all.dataset.selectAll);
      const count = rows.filter((box) => box.checked).length;
      all.checked = rows.length > 0 && count === rows.length;
      all.indeterminate = count > 0 && count < rows.length;
    }
  }

  function onChange(event) {
    const form = event.target.form;
    if (!form) return;
    const name = event.target.dataset.selectAll;
    if (name) for (const box of boxes(form, name)) box.checked = event.target.checked;
    if ("autosubmit" in event.target.dataset) form.requestSubmit();
    showSelection(form);
  }

  async function onClick(event) {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const isCopied = await copy(decodeURIComponent(button.dataset.copy), button);
    const text = isCopied ? gettext("Copied") : gettext("Could not be copied");
    button.classList.toggle("copied", isCopied);
    button.dataset.said = text;
    document.getElementById("copy-status").textContent = text;
    setTimeout(() => {
      button.classList.remove("copied");
      delete button.dataset.said;
      document.getElementById("copy-status").textContent = "";
    }, 1500);
  }

  // Over plain http, browsers have no clipboard API for other hosts than this machine: a selected field is copied there.
  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return copySelected(text, button);
    }
  }

  function copySelected(text, button) {
    const field = document.createElement("textarea");
    field.className = "visually-hidden";
    field.readOnly = true;
    field.value = text;
    button.after(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    button.focus();
    return isCopied;
  }

  function onOutsideClick(event) {
    for (const menu of document.querySelectorAll("details.user-menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  }

  function enhance(root) {
    for (const element of root.querySelectorAll("[data-js-only], [data-theme-toggle]")) element.hidden = false;
    for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
    for (const form of root.querySelectorAll("form")) showSelection(form);
  }

  // Details that are open stay open when htmx replaces them. They are recognized by their ids.
  let openIds = [];

  function rememberOpen() {
    openIds = [...document.querySelectorAll("details[id][open]")].map((each) => each.id);
  }

  function openAgain() {
    for (const each of openIds.map((id) => document.getElementById(id))) if (each) each.open = true;
  }

  document.addEventListener("change", onChange);
  document.addEventListener("click", onClick);
  document.addEventListener("click", onOutsideClick);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const menu of document.querySelectorAll("details.user-menu[open]")) menu.open = false;
  });
  // A page from the back/forward cache keeps its checkboxes: update the buttons to match them.
  window.addEventListener("pageshow", () => enhance(document));
  document.addEventListener("htmx:beforeSwap", rememberOpen);
  document.addEventListener("htmx:afterSwap", openAgain);
  document.addEventListener("htmx:load", (event) => enhance(event.detail.elt));
  enhance(document);
})();
