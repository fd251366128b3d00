"""Who may ask: one file for each access key, which tests write and the server reads at every request.

So a test can add a user with fewer permissions, or one whose token has expired, to a server that runs as a process of
its own.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

ACCESS_KEY = re.compile(r"[0-9A-Za-z._=]{1,128}")
"""What an access key id may hold (OSS documentation, HTTP status code 403, InvalidAccessKeyId)."""


@dataclass(frozen=True, slots=True)
class Account:
    """A RAM user, or with a token what STS gives: its id begins with `STS.` there."""

    access_key: str
    secret_key: str
    token: str = ""
    expires: float | None = None
    """Seconds since 1970 from which on the token has expired."""
    denied: tuple[str, ...] = ()
    """Actions of RAM policies, such as `oss:ListParts`."""


class Accounts:
    """The accounts kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "accounts"

    def save(self, account: Account) -> None:
        """Add an account. It is whole before anybody can read it."""
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
            kept = json.loads(self._path(access_key).read_text())
        except FileNotFoundError:
            return None
        return Account(**{**kept, "denied": tuple(kept["denied"])})

    def has_token(self, token: str) -> bool:
        """Whether it is somebody's."""
        return any(json.loads(path.read_text())["token"] == token for path in self._folder.glob("*.json"))

    def _path(self, access_key: str) -> Path:
        return self._folder / f"{access_key}.json"
