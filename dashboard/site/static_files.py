"""How static files are collected: under names that hold their digest, also where one of our modules imports another."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage

_IMPORTS = (r"""(?P<matched>from\s*["'](?P<url>\.{1,2}/[^"']+)["'])""", 'from "%(url)s"')


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Django can follow imports in every script (support_js_module_import_aggregation), and then also rewrites what
    looks like one in the words of a minified library. So it is told of our modules alone."""

    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("new-transfer/*.js", (_IMPORTS,)))
    # Each pass settles one more level of imports.
    max_post_process_passes = 10
