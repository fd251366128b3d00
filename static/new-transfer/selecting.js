// The ways to select files: a dialog for files, one for a folder, and dropping onto the page.

import { SILENT } from "./sender.js";

const { Uppy, DropTarget } = globalThis.Uppy;

const byPath = new Intl.Collator(document.documentElement.lang, { numeric: true });

// While something is dragged over the page, the browser fires an event at least this often.
const DRAG_PAUSE = 700;

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

// Uppy's DropTarget walks through the folders that are dropped.
export function acceptDrops(overlay, onFiles, onProblem) {
  let count = 0;
  let timer = 0;
  const hide = () => (overlay.hidden = true);
  const show = () => {
    overlay.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(hide, DRAG_PAUSE);
  };
  // An id of our own: Uppy treats names that differ only in case as the same file.
  const number = (added) => ({ ...added, id: `dropped-${++count}` });
  const logger = { ...SILENT, error: (problem) => onProblem(problem.message) };
  const uppy = new Uppy({ id: "drops", logger, onBeforeFileAdded: number });
  uppy.use(DropTarget, { target: document.body, onDragOver: show, onDrop: hide });
  uppy.on("files-added", (added) => {
    onFiles(sorted(added.map(({ data, meta }) => [data, meta.relativePath || data.name])));
    uppy.clear();
  });
}
