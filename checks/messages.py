"""`python -m checks.messages`: whether the catalog templates in `locale/` have every text. `--write` updates them.

Django's makemessages extracts the texts of Python code, templates and scripts. It needs GNU gettext.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.pofile import read_po

from checks.report import PROJECT

LOCALE = PROJECT / "locale"
DOMAINS = ("django", "djangojs")
"""Python code and templates; scripts."""
IGNORED = ("node_modules/*", "var/*", "tests/*", "benchmarks/*", "local/*", "checks/*")
CREATION_DATE = re.compile(r'^"POT-Creation-Date: .*\n', re.MULTILINE)

PLURALS = ("nplurals=INTEGER; plural=EXPRESSION;", "nplurals=2; plural=(n != 1);")
"""xgettext leaves a gap in the header that only it can read."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.messages", description=__doc__)
    parser.add_argument("--write", action="store_true", help="update the templates and the catalog of every language")
    if parser.parse_args().write:
        write()
        return 0
    return check()


def write() -> None:
    """Update the templates, and the catalogs of the languages that exist."""
    LOCALE.mkdir(exist_ok=True)
    for domain in DOMAINS:
        _extract(domain, *(["--all"] if languages() else ["--exclude", "none"]))


def check() -> int:
    """Compare the committed templates with the texts in the code; the files stay as they are."""
    kept = {domain: _template(domain).read_text() if _template(domain).exists() else "" for domain in DOMAINS}
    missing = [each for domain in DOMAINS for each in _differences(domain, kept[domain])]
    if missing:
        print(*missing, sep="\n")
    print(f"Texts that differ from locale/: {len(missing)}" + (" (make messages updates them)" if missing else ""))
    return int(bool(missing))


def _differences(domain: str, kept: str) -> Iterator[str]:
    path = _template(domain)
    before = _messages(path)
    try:
        _extract(domain, *(argument for name in languages() or ["none"] for argument in ("--exclude", name)))
        now = _messages(path)
    finally:
        path.unlink(missing_ok=True)
        if kept:
            path.write_text(kept)
    yield from (f"{domain}: new: {text}" for text in sorted(now - before))
    yield from (f"{domain}: gone: {text}" for text in sorted(before - now))


def languages() -> list[str]:
    """The languages that have a catalog."""
    return sorted(path.parent.name for path in LOCALE.glob("*/LC_MESSAGES"))


def _template(domain: str) -> Path:
    return LOCALE / f"{domain}.pot"


def _extract(domain: str, *arguments: str) -> None:
    ignored = [argument for pattern in IGNORED for argument in ("--ignore", pattern)]
    options = ["--domain", domain, "--keep-pot", "--no-wrap", "--add-location", "file", "--no-obsolete"]
    command = [sys.executable, "-W", "ignore", "manage.py", "makemessages", *options, *ignored, *arguments]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    for path in (_template(domain), *LOCALE.glob(f"*/LC_MESSAGES/{domain}.po")):
        if path.exists():
            path.write_text(CREATION_DATE.sub("", path.read_text()).replace(*PLURALS))


def _messages(path: Path) -> set[str]:
    """The texts of a template, each with its context and its plural."""
    if not path.exists():
        return set()
    with path.open("rb") as file:
        catalog = read_po(file)
    return {repr((each.context, each.id)) for each in catalog if each.id}


if __name__ == "__main__":
    sys.exit(main())
