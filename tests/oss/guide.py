"""Runs the programs of the OSS guide, which are written in Go with the vendor's SDK (go/main.go)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stores.oss import OssStore
from tests.stores.oss.accounts import Account

BINARY = Path(sys.prefix) / "bin" / "ossguide"
VERSIONS = ("v1", "v2", "v4")

Document = dict[str, Any]


class Refused(Exception):
    """An error of the service, with the names of its elements."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self.document = document

    @property
    def code(self) -> tuple[int, str]:
        return self.document["Status"], self.document["Code"]


@dataclass(frozen=True)
class Guide:
    """The programs for one bucket, with one version of signatures."""

    store: OssStore
    bucket: str
    version: str = "v4"
    account: Account | None = None

    def run(self, program: str, **flags: object) -> list[Document]:
        """Run a program to its end. Returns what it prints. Raises Refused."""
        argv = self._argv(program, flags)
        done = subprocess.run(argv, env=self._env, capture_output=True, text=True, timeout=120, check=False)
        printed = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.stderr == "", done.stderr
        if done.returncode:
            raise Refused(printed[-1])
        return printed

    @contextmanager
    def steps(self, program: str, **flags: object) -> Iterator[Steps]:
        """Run a program that waits after each step. It is killed with SIGKILL if it has not ended by then."""
        argv = self._argv(program, {**flags, "step": True})
        with subprocess.Popen(argv, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield Steps(process)
            finally:
                process.send_signal(signal.SIGKILL)

    def _argv(self, program: str, flags: dict[str, object]) -> list[str]:
        if not BINARY.exists():
            raise FileNotFoundError("The tests need the programs of the OSS guide: `make ossguide` builds them.")
        named = {name.replace("_", "-"): value for name, value in flags.items()}
        options = [f"-{name}" if value is True else f"-{name}={value}" for name, value in named.items()]
        return ["setpriv", "--pdeathsig", "KILL", str(BINARY), program, *options]

    @property
    def _env(self) -> dict[str, str]:
        account = self.account or Account(self.store.access_key, self.store.secret_key)
        return {
            **os.environ,
            "OSS_ENDPOINT": self.store.endpoint_url,
            "OSS_REGION": self.store.region,
            "OSS_BUCKET": self.bucket,
            "OSS_ACCESS_KEY_ID": account.access_key,
            "OSS_ACCESS_KEY_SECRET": account.secret_key,
            "OSS_SESSION_TOKEN": account.token,
            "OSS_AUTH_VERSION": self.version,
        }


class Steps:
    """A running program: it has done a step when it prints a document, and waits until it is told to go on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout

    def read(self) -> Document:
        """What the program prints at the end of the step that it is doing."""
        line = self._output.readline()
        assert line, "the program has ended"
        document: Document = json.loads(line)
        return document

    def go_on(self) -> Document:
        """Let the program do the next step, and return what it prints."""
        self._input.write("\n")
        self._input.flush()
        return self.read()
