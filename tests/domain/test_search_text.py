"""What a pasted text names: ids, and the bucket, the key and the upload id of a request."""

from __future__ import annotations

import uuid

import pytest

from uploads.domain.search_text import MAX_IDS, Named, ids_in, named_in


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('"PUT /b/a/k%20x.bin?partNumber=7&uploadId=2~a%2Bb HTTP/1.1" 403', Named("b", "a/k x.bin", "2~a+b")),
        ("https://s3.test:8333/b/k?uploadId=u1&x=1", Named("b", "k", "u1")),
        ("{'Bucket': 'b', 'Key': 'a/k.bin', 'UploadId': 'u1', 'PartNumber': 7}", Named("b", "a/k.bin", "u1")),
        ("s3://b/a key/k.bin", Named("b", "a key/k.bin")),
        ("oss://b", Named("b")),
        ("2~abcdef", Named(upload_id="2~abcdef")),
        ("dir/file.bin", Named(key="dir/file.bin")),
        ("", Named()),
        ("two\nlines", Named()),
    ],
)
def test_named_in(text: str, named: Named) -> None:
    assert named_in(text) == named


def test_ids_in() -> None:
    ids = [uuid.uuid4() for _ in range(MAX_IDS + 2)]
    assert ids_in(f"/transfers/{ids[0]}/ and {str(ids[1]).upper()}, {ids[0]}") == ids[:2]
    assert ids_in(" ".join(map(str, ids))) == ids[:MAX_IDS]
    assert ids_in(f"{ids[0]}0") == []
