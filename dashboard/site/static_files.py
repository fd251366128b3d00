"""Collects static files under names with their digest, also in the imports of our script modules."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage

_IMPORTS = (r"""(?P<matched>from\s*["'](?P<url>\.{1,2}/[^"']+)["'])""", 'from "%(url)s"')


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Django can rewrite the imports of every script (support_js_module_import_aggregation), but then also strings in
    minified libraries that look like imports. This rewrites the imports of our modules only."""

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        *((name, (_IMPORTS,)) for name in ("new-transfer/*.js", "fragments.js", "polling.js")),
    )
    # Each pass resolves one more level of imports.
    max_post_process_passes = 10
