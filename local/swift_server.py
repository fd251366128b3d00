"""Runs one of the four servers of the embedded Swift: `python -m local.swift_server proxy proxy.conf`.

Swift reads its limits from /etc/swift/swift.conf when it is imported, before it reads a configuration that could name
another path. The path is set here first, so that our limits apply and those of the machine do not.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

MODULES = {
    "account": "swift.account.server",
    "container": "swift.container.server",
    "object": "swift.obj.server",
    "proxy": "swift.proxy.server",
}


def main() -> None:
    name, conf = sys.argv[1:]
    # Swift uses eventlet, which warns about its deprecation at every import.
    warnings.simplefilter("ignore", DeprecationWarning)
    from swift.common import utils

    utils.SWIFT_CONF_FILE = str(Path(conf).resolve().parent / "swift.conf")
    from swift.common import constraints

    constraints.reload_constraints()
    sys.argv = [f"swift-{name}-server", conf]
    importlib.import_module(MODULES[name]).main()


if __name__ == "__main__":
    main()
