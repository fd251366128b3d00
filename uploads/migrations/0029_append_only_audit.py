from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from uploads.database import append_only


def create(_: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    append_only.create_triggers(editor.connection.alias)


def drop(_: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    append_only.drop_triggers(editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0028_audit_columns"),
    ]

    operations = [migrations.RunPython(create, drop)]
