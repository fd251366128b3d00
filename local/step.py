"""Runs one step of an installation and shows that it proceeds: `python local/step.py TEXT COMMAND...`.

In a terminal, one line shows the time and the last line of the command's output. In a log, a line is added every ten
seconds. The whole output is shown only if the command fails. This module runs before any package is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from typing import IO, TextIO

LOG_SECONDS = 10.0
TERMINAL_SECONDS = 0.2


class Step:
    """The output of a command that runs, and what is shown of it."""

    def __init__(self, text: str, out: TextIO, log_seconds: float = LOG_SECONDS) -> None:
        self._text = text
        self._out = out
        self._live = out.isatty()
        self._width = shutil.get_terminal_size().columns - 1 if self._live else 120
        self._pause = TERMINAL_SECONDS if self._live else log_seconds
        self._lines: list[str] = []
        self._started = time.monotonic()
        self._over = threading.Event()

    def run(self, argv: list[str]) -> int:
        """Run the command. Returns its exit status."""
        # Unbuffered: pip would report its progress only at the end.
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._say(self._text)
        process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        reporter = threading.Thread(target=self._report)
        reporter.start()
        try:
            assert process.stdout is not None
            with process.stdout as output:
                self._read(output)
            status = process.wait()
        finally:
            self._over.set()
            reporter.join()
        if status:
            self._out.write("".join(f"    {line}\n" for line in self._lines))
            self._say(f"{self._text}: failed after {self._seconds} s")
        else:
            self._say(f"{self._text}: done after {self._seconds} s")
        return status

    @property
    def _seconds(self) -> int:
        return round(time.monotonic() - self._started)

    def _read(self, output: IO[str]) -> None:
        for line in output:
            if line.strip():
                self._lines.append(line.rstrip())

    def _report(self) -> None:
        while not self._over.wait(self._pause):
            last = self._lines[-1].strip() if self._lines else ""
            line = f"  {self._seconds} s  {last}"[: self._width]
            self._out.write(f"\r\x1b[K{line}" if self._live else f"{line}\n")
            self._out.flush()
        if self._live:
            self._out.write("\r\x1b[K")

    def _say(self, text: str) -> None:
        self._out.write(f"partway: {text}\n")
        self._out.flush()


def main() -> int:
    text, *argv = sys.argv[1:]
    try:
        return Step(text, sys.stdout).run(argv)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
