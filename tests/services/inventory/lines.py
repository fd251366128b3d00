"""Lines of logs with an upload id, as servers and clients write them."""

from __future__ import annotations

from urllib.parse import quote

LINES = (
    '10.0.0.7 - k [29/Nov/2026:10:00:00 +0000] "PUT /b/a/k.bin?partNumber=7&uploadId={quoted} HTTP/1.1" 403 231 "-"',
    '7f0 ====== req done op=put_obj uri="/b/a%20k?uploadId={id}&partNumber=1" status=403 latency=0.01s ======',
    "{{'Bucket': 'b', 'Key': 'a/k.bin', 'UploadId': '{id}', 'PartNumber': 7}}",
    '{{"url":"https://s3.test/b/k?uploadId={quoted}\\u0026partNumber=1","level":"error"}}',
    "<InitiateMultipartUploadResult><Key>k</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
    "upload failed: ./k.bin to s3://b/k.bin, and the upload {id} was not aborted.",
    "the last upload is {id}.",
    "upload_id: {id}, parts: 7; retrying",
    "{id}",
)


def lines_with(upload_id: str) -> list[str]:
    return [line.format(id=upload_id, quoted=quote(upload_id, safe="")) for line in LINES]
