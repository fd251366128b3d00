#!/usr/bin/env python
"""Django's command line for Partway."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.site.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from dashboard.site.memory import protect_memory
    from uploads.origin import Means, origin

    protect_memory()
    try:
        with origin(means=Means.COMMAND):
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
