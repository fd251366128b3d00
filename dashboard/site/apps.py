"""The application of the site."""

from __future__ import annotations

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"

    def ready(self) -> None:
        # Registers the system checks, and what is recorded when somebody signs in.
        from dashboard.site import checks  # noqa: F401
        from uploads.services.sign_in import recording  # noqa: F401
