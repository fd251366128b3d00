"""`python -m local`: what `make run` runs."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python may run this file
    sys.exit(
        f"Partway needs Python 3.11 or newer, not {sys.version.split()[0]}: `make run` finds one or names its package."
    )

try:
    from local.launcher import main
except ModuleNotFoundError as missing:
    sys.exit(f"The package {missing.name} is missing in {sys.prefix}. `make run` installs it and starts Partway.")

sys.exit(main())
