"""The settings of a Partway that also has the pseudo language of tests/browser/pseudo.py."""

from __future__ import annotations

import os
from pathlib import Path

from dashboard.site.settings import *  # noqa: F403
from dashboard.site.settings import LANGUAGES, LOCALE_PATHS

LANGUAGES = [*LANGUAGES, ("en-xa", "Pseudo")]
LOCALE_PATHS = [Path(os.environ["PSEUDO_LOCALE"]), *LOCALE_PATHS]
