// The dialogs that select files or a folder.

const byPath = new Intl.Collator(document.documentElement.lang, { numeric: true });

// `onFiles` receives [File, path] pairs; the path starts with the selected folder.
export function offerDialogs(input, buttons, onFiles) {
  const folderInput = document.createElement("input");
  Object.assign(folderInput, { type: "file", webkitdirectory: true, multiple: true, hidden: true });
  folderInput.id = "folder-input";
  input.multiple = true;
  input.after(folderInput);
  buttons.files.addEventListener("click", () => input.click());
  buttons.folder.addEventListener("click", () => folderInput.click());
  buttons.folder.hidden = !("webkitdirectory" in folderInput);
  for (const each of [input, folderInput]) each.addEventListener("change", () => take(each, onFiles));
  // A browser may restore the selection after a reload.
  window.addEventListener("pageshow", () => take(input, onFiles));
}

function take(input, onFiles) {
  const files = [...input.files];
  input.value = ""; // So that the same file can be selected again.
  if (files.length) onFiles(sorted(files.map((file) => [file, file.webkitRelativePath || file.name])));
}

// The browser lists a folder in the order of the disk.
const sorted = (selected) => selected.sort(([, one], [, other]) => byPath.compare(one, other));
