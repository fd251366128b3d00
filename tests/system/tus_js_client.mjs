// tus-js-client as its README uses it, in Node. Takes its task as JSON on stdin, tells of its progress in JSON lines:
// {url} once there is one, {sent} as bytes are taken, and in the end {done} or {error}.

import { createReadStream, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";

import { Upload } from "tus-js-client";

const task = JSON.parse(await text(process.stdin));
const tell = (fact) => process.stdout.write(`${JSON.stringify(fact)}\n`);

const upload = new Upload(task.whole ? readFileSync(task.file) : createReadStream(task.file), {
  endpoint: task.endpoint,
  uploadUrl: task.uploadUrl ?? null,
  uploadSize: task.size,
  chunkSize: task.chunkSize ?? Infinity,
  uploadDataDuringCreation: task.duringCreation ?? false,
  retryDelays: task.retryDelays ?? null,
  headers: task.headers,
  metadata: task.metadata,
  onUploadUrlAvailable: () => tell({ url: upload.url }),
  onChunkComplete: (_size, sent) => tell({ sent }),
  onSuccess: () => tell({ done: true }),
  onError: (error) => tell({ error: String(error) }),
});
upload.start();
