"""`python -m tests.stores.oss FOLDER PORT`: serve on loopback until SIGTERM."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

from tests.stores.oss.server import OssServer


def main() -> None:
    folder, port = sys.argv[1:]
    signal.signal(signal.SIGTERM, _end)
    with OssServer(Path(folder), int(port)) as server:
        server.serve_forever()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit


if __name__ == "__main__":
    main()
