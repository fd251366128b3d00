// What has been requested for uploads is no longer selected in their listing. A form with `data-deselects` has its path.

import { Selection } from "./selection.js";

for (const form of document.querySelectorAll("form[data-deselects]")) {
  form.addEventListener("submit", ({ submitter }) => {
    if (submitter?.name === "export") return;
    const selection = new Selection(form.dataset.deselects);
    for (const { value } of form.querySelectorAll("input[name=upload]")) selection.set(value, false);
    selection.save();
  });
}
