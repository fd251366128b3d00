"""Sets the schedule of the store `demo` in a short process: `python -m local.first_scan`, once it has its demo data.

The watchdog then requests the first scan, which finds all of the data.
"""

from __future__ import annotations

from dataclasses import replace

import django

from local import installation
from uploads.origin import Means, origin


def main() -> None:
    django.setup()
    with origin(means=Means.COMMAND):
        scan_daily()


def scan_daily() -> None:
    """Does nothing if an administrator has deleted the store."""
    from uploads.models import Store
    from uploads.services.inventory.settings import change_settings, settings_of, values_of

    store = Store.objects.filter(name=installation.STORE).first()
    if store is not None:
        change_settings(None, store, replace(values_of(settings_of(store)), schedule="daily"))


if __name__ == "__main__":
    main()
