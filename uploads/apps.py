from django.apps import AppConfig
from django.db.models.signals import post_migrate


class UploadsConfig(AppConfig):
    name = "uploads"
    verbose_name = "Uploads"

    def ready(self) -> None:
        # Every process that enqueues work has to know every kind of it.
        from uploads import tasks  # noqa: F401
        from uploads.database.append_only import after_migrate

        post_migrate.connect(after_migrate, sender=self)
