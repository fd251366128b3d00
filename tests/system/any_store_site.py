"""Prepares the site as `local.site` does, but with the store of tests that are about no kind of store."""

from __future__ import annotations

import django

from local import installation, site
from uploads.origin import Means, origin


def main() -> None:
    django.setup()
    from tests.stores.any_store import KIND
    from uploads.models import Store

    with origin(means=Means.COMMAND):
        site.prepare()
        Store.objects.filter(name=installation.STORE).update(provider=KIND.provider, overrides=dict(KIND.overrides))


if __name__ == "__main__":
    main()
