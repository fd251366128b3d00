"""Static files: which ones are collected, their names with a digest, and whether they are those of this version."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.utils.translation import gettext as _
from whitenoise.storage import CompressedManifestStaticFilesStorage

UNUSED = [
    *("tabler-*", "tabler.rtl*", "tabler.css*", "htmx.js", "htmx.[ace]*", "ext", "*.d.ts", "README.md"),
    *("uppy.css*", "uppy.min.css", "uppy.min.mjs*"),
    # Of hash-wasm only sha256.umd.min.js and crc64.umd.min.js are used.
    *(
        "[!cs]*.umd.min.js",
        "crc32*",
        "s[!h]*.umd.min.js",
        "sha[!2]*.umd.min.js",
        "sha224*",
        "*.umd.js",
        "*.esm*.js",
        "lib",
    ),
]
"""Files of the npm packages that no page uses. Compressing all of them is slow."""

_IMPORTS = (r"""(?P<matched>from\s*["'](?P<url>\.{1,2}/[^"']+)["'])""", 'from "%(url)s"')


class CollectedFiles(StaticFilesConfig):
    """Django's app of static files. `collectstatic` leaves out what no page uses."""

    ignore_patterns = [*StaticFilesConfig.ignore_patterns, *UNUSED]


class NotCollected(ValueError):
    """A page refers to a static file that is not among the collected ones."""


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Collects files under names with their digest, also in the imports of our script modules.

    Django can rewrite the imports of every script (support_js_module_import_aggregation), but then also strings in
    minified libraries that look like imports. This rewrites the imports of our modules only.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        *((name, (_IMPORTS,)) for name in ("new-transfer/*.js", "uploads/*.js", "fragments.js", "polling.js")),
    )
    # Each pass resolves one more level of imports.
    max_post_process_passes = 10

    def url_converter(
        self, name: str, hashed_files: dict[str, str], template: str | None = None
    ) -> Callable[[re.Match[str]], str]:
        """Keep a reference of a package to a file that it does not ship. One of our own files is an error."""
        convert = super().url_converter(name, hashed_files, template)

        def convert_if_present(match: re.Match[str]) -> str:
            try:
                return str(convert(match))
            except ValueError:
                if is_ours(name):
                    raise
                return match["matched"]

        return convert_if_present

    def stored_name(self, name: str) -> str:
        try:
            return str(super().stored_name(name))
        except ValueError as error:
            raise NotCollected(str(error)) from error

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Iterator[Any]:
        """Do nothing if nothing has changed: compressing all files takes seconds."""
        if dry_run or is_current():
            return
        _note().unlink(missing_ok=True)
        yield from super().post_process(paths, dry_run, **options)
        _note().write_text(sources_digest())


def is_ours(name: str) -> bool:
    """Whether a static file is one of this project, not of a package."""
    return (settings.BASE_DIR / "static" / name).is_file()


def sources_digest() -> str:
    """A digest of all files that `collectstatic` collects, by content: copies of a checkout have other dates."""
    digest = hashlib.sha256(repr(settings.STORAGES).encode())
    for name, path in sorted(_sources()):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether STATIC_ROOT has the static files of this version, and all of them."""
    note = _note()
    if not note.is_file() or note.read_text() != sources_digest():
        return False
    return all((note.parent / name).is_file() for name in _collected().values())


def problem() -> str:
    """What keeps this process from serving the static files of this version, and what to do; empty if nothing does."""
    global _served  # noqa: PLW0603
    if _served or settings.DEBUG or not isinstance(staticfiles_storage, StaticFiles):
        return ""
    if not settings.ICONS_DIR.is_dir():
        missing = _("The browser libraries are missing in %(folder)s. Run `make install`.")
        return missing % {"folder": settings.NODE_MODULES}
    if not is_current():
        other = _("STATIC_ROOT, %(folder)s, does not have the static files of this version. Run `make install`.")
        return other % {"folder": settings.STATIC_ROOT}
    if staticfiles_storage.hashed_files != _collected():
        return _("The static files were collected after the start of this process. Restart it.")
    _served = True
    return ""


_served = False
"""Whether this process has read the names of the static files of its version. It keeps them."""


def _sources() -> Iterator[tuple[str, Path]]:
    ignored: Any = CollectedFiles.ignore_patterns
    for finder in get_finders():
        for path, storage in finder.list(ignored):
            prefix = getattr(storage, "prefix", None)
            yield f"{prefix}/{path}" if prefix else path, Path(storage.path(path))


def _collected() -> dict[str, str]:
    """The names of all collected files, with and without digests."""
    names: dict[str, str] = json.loads((Path(settings.STATIC_ROOT) / StaticFiles.manifest_name).read_text())["paths"]
    return names


def _note() -> Path:
    """The file that says from which sources the static files were collected."""
    return Path(settings.STATIC_ROOT) / ".sources"
