"""Random secrets that are shown once, and the digests of them that are stored.

A secret has 256 random bits, so nobody finds it by trying, whatever the speed of the hash: one SHA-256 suffices. A slow
hash, as for passwords, would only cost time for every request. Equal secrets have equal digests, so that a row is found
by the digest, with an index.
"""

from __future__ import annotations

import hashlib
import secrets

MAX_LENGTH = 200
"""No secret is longer. Longer texts need not be hashed."""


def new_secret(prefix: str = "") -> str:
    """The prefix and 43 random characters that need no quoting in URLs, headers and shells."""
    return prefix + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
