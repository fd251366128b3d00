"""Prepares the site in a short process: `python -m local.site ENDPOINT_URL`, with settings from the environment.

It migrates the database, collects static files, and on the first start creates an administrator and the store `demo`.
It can be run again at any time.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from typing import TYPE_CHECKING

import django
from django.core.management import call_command

from local import installation, swift
from local.files import write_private
from uploads.origin import Means, origin

if TYPE_CHECKING:
    from uploads.services.stores.settings import StoreValues

ADMIN = "admin"


def main() -> None:
    django.setup()
    with origin(means=Means.COMMAND):
        prepare()


def prepare() -> None:
    var = installation.folder(os.environ)
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    kept = var.load()
    new_database = create_admin(var, os.environ.get("ADMIN_PASSWORD", ""))
    add_store(sys.argv[1], kept, first=new_database or not kept.store_added)


def create_admin(var: installation.Folder, password_of_user: str) -> bool:
    """Create the administrator if there is no user, and return whether it was created.

    A generated password is kept in a file until it has been shown.
    """
    from django.contrib.auth.models import User

    from uploads.domain.roles import Role
    from uploads.services.sign_in.new_user import add_user
    from uploads.services.sign_in.passwords import check_rules

    if User.objects.exists():
        return False
    if password_of_user:
        check_rules(password_of_user, User(username=ADMIN))
    password = password_of_user or secrets.token_urlsafe(12)
    # Before the user is created: after a crash in between, the next start writes a new password here.
    note = {"username": ADMIN, "password": "" if password_of_user else password}
    write_private(var.first_login, json.dumps(note))
    add_user(None, ADMIN, password, role=Role.ADMINISTRATOR)
    return True


def add_store(endpoint_url: str, kept: installation.Kept, *, first: bool) -> None:
    """Add the embedded store, or change its port. A store that an administrator has deleted is not added again."""
    from uploads.models import Store
    from uploads.services.stores import settings

    store = Store.objects.filter(name=installation.STORE).first()
    if store is None:
        if first:
            settings.add_store(None, _store_values(endpoint_url, kept, ()))
    elif not store.has_readable_secrets or (store.endpoint_url, store.secret_key) != (
        endpoint_url,
        kept.store_secret_key,
    ):
        buckets = tuple(bucket.name for bucket in store.named_buckets.all())
        settings.change_store(None, store, _store_values(endpoint_url, kept, buckets))


def _store_values(endpoint_url: str, kept: installation.Kept, buckets: tuple[str, ...]) -> StoreValues:
    from uploads.services.stores.settings import StoreValues

    return StoreValues(
        name=installation.STORE,
        endpoint_url=endpoint_url,
        region=swift.REGION,
        access_key=swift.ACCESS_KEY,
        secret_key=kept.store_secret_key,
        provider="swift",
        buckets=buckets,
    )


if __name__ == "__main__":
    main()
