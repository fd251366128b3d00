// The options: folded, with a line that says what is set.

const $ = (id) => document.getElementById(id);
const NAMES = ["key", "content-type", "storage-class", "part-size", "part-count", "metadata"];

// Shows in the summary which fields are set.
export function showOptions(form) {
  const set = NAMES.map((name) => form.field(name)).filter((control) => !control.disabled && control.value.trim());
  const shown = set.map((control) => `${labelOf(control)}: ${control.value.trim().split("\n").join(", ")}`);
  if (form.verify) shown.push("SHA-256");
  $("options-summary").textContent = shown.join(" · ") || gettext("all automatic");
}

const labelOf = (control) => control.labels[0].textContent.trim();

// Opens the options if one of these controls is in them, so that its error can be seen.
export function openOptions(controls) {
  if (controls.some((control) => control && $("options").contains(control))) $("options").open = true;
}
