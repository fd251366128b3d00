"""Whether the ETags of a store are MD5s is found out on every store, also on those of the provider `generic`.

The profile of `generic` said until now that they are not, so a store check that found the same did not override it.
"""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def keep_findings(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Override the profile of each store whose newest check found ETags that are no MD5s."""
    checks = apps.get_model("uploads", "StoreCheck").objects.using(editor.connection.alias)
    for store in apps.get_model("uploads", "Store").objects.using(editor.connection.alias).filter(provider="generic"):
        newest = checks.filter(store=store, state="done", provider="generic").order_by("-created_at").first()
        if newest is not None and "etag_is_md5" not in store.overrides and _found_otherwise(newest.results):
            store.overrides = {**store.overrides, "etag_is_md5": False}
            store.save(update_fields=["overrides"])


def _found_otherwise(results: Any) -> bool:
    flags = [result.get("flag") for result in results if isinstance(result, dict)]
    return ["etag_is_md5", False] in flags


class Migration(migrations.Migration):
    dependencies = [("uploads", "0012_check_findings")]

    operations = [
        migrations.AddField("store", "etag_was_md5", models.BooleanField(default=False)),
        migrations.RunPython(keep_findings, migrations.RunPython.noop),
    ]
