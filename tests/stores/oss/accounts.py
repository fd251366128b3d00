"""Access keys: one file for each, which tests write and the server reads for every request.

In this way a test can add a user with fewer permissions, or with an expired token, to a running server.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

ACCESS_KEY = re.compile(r"[0-9A-Za-z._=]{1,128}")
"""The characters of an access key id (OSS documentation, HTTP status code 403, InvalidAccessKeyId)."""


@dataclass(frozen=True, slots=True)
class Account:
    """A RAM user, or with a token a key from STS, whose id starts with `STS.`."""

    access_key: str
    secret_key: str
    token: str = ""
    expires: float | None = None
    """When the token expires, in seconds since 1970."""
    denied: tuple[str, ...] = ()
    """Actions of RAM policies, such as `oss:ListParts`."""


class Accounts:
    """The accounts in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "accounts"

    def save(self, account: Account) -> None:
        """Add an account atomically."""
        self._folder.mkdir(exist_ok=True)
        path = self._path(account.access_key)
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(asdict(account)))
        fresh.replace(path)

    def find(self, access_key: str) -> Account | None:
        if not ACCESS_KEY.fullmatch(access_key):
            return None
        try:
            values = json.loads(self._path(access_key).read_text())
        except FileNotFoundError:
            return None
        return Account(**{**values, "denied": tuple(values["denied"])})

    def has_token(self, token: str) -> bool:
        """Whether an account has this token."""
        return any(json.loads(path.read_text())["token"] == token for path in self._folder.glob("*.json"))

    def _path(self, access_key: str) -> Path:
        return self._folder / f"{access_key}.json"
