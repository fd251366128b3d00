"""The application of the site."""

from __future__ import annotations

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"

    def ready(self) -> None:
        # Registers the system checks, the words of alerts, and what is recorded when somebody signs in.
        from dashboard.shared.messages.alerts import words
        from dashboard.site import checks  # noqa: F401
        from uploads.services.alerts.words import use
        from uploads.services.sign_in import recording  # noqa: F401

        use(words)
