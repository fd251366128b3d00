"""Runs one of the four servers of the embedded Swift: `python -m local.swift_server proxy proxy.conf`.

Swift reads its limits from /etc/swift/swift.conf the moment it is imported, before any conf can say where else to
look. Its path is set here first, so that ours hold and the machine's own, if it has any, stay out of it.
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
    # Swift stands on eventlet, which announces its own end at every import; the log is for what happens here.
    warnings.simplefilter("ignore", DeprecationWarning)
    from swift.common import utils

    utils.SWIFT_CONF_FILE = str(Path(conf).resolve().parent / "swift.conf")
    from swift.common import constraints

    constraints.reload_constraints()
    sys.argv = [f"swift-{name}-server", conf]
    importlib.import_module(MODULES[name]).main()


if __name__ == "__main__":
    main()
