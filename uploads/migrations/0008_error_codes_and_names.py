"""Errors are stored as a reason with parameters, beside the store's own message; columns get the names of the field.

The names of indexes that mention a renamed column are removed before, and added after, the rename: Django does not
rename columns inside them.
"""

from django.db import migrations, models

WITH_ERRORS = ("transfer", "part", "operationitem", "storecheck")

RENAMED = (
    ("transfer", "wanted", "desired_state"),
    ("transfer", "promised_sha256", "expected_sha256"),
    ("transfer", "room_wanted_at", "quota_refused_at"),
    ("part", "held", "reserved_bytes"),
    ("store", "found", "overrides"),
    ("storecheck", "found", "overrides"),
    ("storecheck", "made", "created"),
)


class Migration(migrations.Migration):
    dependencies = [("uploads", "0007_open_store_uploads")]

    operations = [
        migrations.RemoveIndex("transfer", "transfer_by_phase"),
        migrations.RemoveIndex("part", "part_by_room"),
        *(migrations.RenameField(model, old, new) for model, old, new in RENAMED),
        migrations.AddIndex("transfer", models.Index(fields=["phase", "desired_state"], name="transfer_by_phase")),
        migrations.AddIndex(
            "part",
            models.Index(
                fields=["reserved_bytes"],
                name="part_by_reservation",
                condition=models.Q(("reserved_bytes__gt", 0)),
            ),
        ),
        *(
            migrations.AddField(model, "error_reason", models.CharField(max_length=64, blank=True, default=""))
            for model in WITH_ERRORS
        ),
        *(
            migrations.AddField(model, "error_params", models.JSONField(blank=True, default=dict))
            for model in WITH_ERRORS
        ),
    ]
