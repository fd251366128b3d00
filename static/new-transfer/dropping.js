// Files and folders that are dropped onto the page. Folders are walked to their end, and what cannot be taken is reported.

// While something is dragged over the page, the browser fires an event at least this often.
const DRAG_PAUSE = 700;
const FILES_AT_A_TIME = 200;

// In the order in which people count: file-2 before file-10.
const byName = new Intl.Collator(document.documentElement.lang, { numeric: true });

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

// `onFiles` receives [File, path] pairs, in several calls if they are many; `onLeftOut` a reason, a path and a detail.
export function acceptDrops(overlay, onFiles, onLeftOut) {
  let timer = 0;
  const hide = () => (overlay.hidden = true);
  document.body.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    overlay.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(hide, DRAG_PAUSE);
  });
  document.body.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    hide();
    take(event.dataTransfer, onFiles, onLeftOut);
  });
}

// The browser empties the DataTransfer after the event, so everything is taken from it first.
async function take(dataTransfer, onFiles, onLeftOut) {
  const items = [...dataTransfer.items].filter((item) => item.kind === "file");
  const dropped = items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const entries = dropped.map(([entry]) => entry).filter(Boolean);
  const files = dropped.filter(([entry, file]) => !entry && file).map(([, file]) => [file, file.name]);
  let batch = files;
  for (const entry of sorted(entries)) {
    for await (const found of walk(entry, onLeftOut)) {
      batch.push(found);
      if (batch.length < FILES_AT_A_TIME) continue;
      onFiles(batch);
      batch = [];
    }
  }
  if (batch.length) onFiles(batch);
}

async function* walk(entry, onLeftOut) {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isDirectory) {
    const entries = await entriesOf(entry, path, onLeftOut);
    for (const each of sorted(entries)) yield* walk(each, onLeftOut);
    return;
  }
  try {
    yield [await new Promise((resolve, reject) => entry.file(resolve, reject)), path];
  } catch (error) {
    onLeftOut("file", path, error.message);
  }
}

// The browser returns at most 100 entries at a time.
async function entriesOf(folder, path, onLeftOut) {
  const reader = folder.createReader();
  const entries = [];
  try {
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      entries.push(...some);
    }
    if (!entries.length) onLeftOut("empty", `${path}/`);
  } catch (error) {
    onLeftOut("folder", `${path}/`, error.message);
  }
  return entries;
}

const sorted = (entries) => entries.sort((one, other) => byName.compare(one.name, other.name));
