// tus-js-client in Node, used as in its README. Reads its task as JSON from stdin and reports its progress in JSON lines:
// {url} once it is known, {sent} as bytes are accepted, and finally {done} or {error}.

import { createReadStream, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";

import { Upload } from "tus-js-client";

const task = JSON.parse(await text(process.stdin));
const report = (fact) => process.stdout.write(`${JSON.stringify(fact)}\n`);

const upload = new Upload(task.whole ? readFileSync(task.file) : createReadStream(task.file), {
  endpoint: task.endpoint,
  uploadUrl: task.uploadUrl ?? null,
  uploadSize: task.deferred || task.parallelUploads ? null : task.size,
  chunkSize: task.chunkSize ?? Infinity,
  uploadDataDuringCreation: task.duringCreation ?? false,
  uploadLengthDeferred: task.deferred ?? false,
  parallelUploads: task.parallelUploads ?? 1,
  protocol: task.protocol ?? "tus-v1",
  retryDelays: task.retryDelays ?? null,
  headers: task.headers,
  metadata: task.metadata,
  onUploadUrlAvailable: () => report({ url: upload.url }),
  onChunkComplete: (_size, sent) => report({ sent }),
  onSuccess: () => report({ done: true }),
  onError: (error) => report({ error: String(error) }),
});
upload.start();
