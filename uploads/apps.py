from django.apps import AppConfig


class UploadsConfig(AppConfig):
    name = "uploads"
    verbose_name = "Uploads"

    def ready(self) -> None:
        # Every process that enqueues work has to know every kind of it.
        from uploads import tasks  # noqa: F401
