"""Makes the site ready in one short process: `python -m local.site ENDPOINT_URL`, everything else from the environment.

The database is brought up to date, static files are collected when one changed, and the first start makes an
administrator and the store `demo`. Run again, it finds everything done.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.management import call_command

from local import installation, swift
from local.files import write_private

if TYPE_CHECKING:
    from uploads.services.stores.settings import StoreValues

ADMIN = "admin"

UNUSED = [
    *("tabler-*", "tabler.rtl*", "tabler.css*", "htmx.js", "htmx.[ace]*", "ext", "*.d.ts", "README.md"),
    *("uppy.css*", "uppy.min.css", "uppy.min.mjs*"),
    # Of hash-wasm only sha256.umd.min.js is used.
    *("[!s]*.umd.min.js", "s[!h]*.umd.min.js", "sha[!2]*.umd.min.js", "sha224*", "*.umd.js", "*.esm*.js", "lib"),
]
"""Parts of the packages that no page uses: some name pictures that are not there, and compressing them takes long."""


def main() -> None:
    django.setup()
    var = installation.folder(os.environ)
    call_command("migrate", interactive=False, verbosity=0)
    collect_static_files()
    kept = var.load()
    new_database = make_admin(var, os.environ.get("ADMIN_PASSWORD", ""))
    add_store(sys.argv[1], kept, first=new_database or not kept.store_added)


def collect_static_files() -> None:
    """Collecting hashes and compresses every file, which takes seconds: done only when a file is new or changed."""
    root = Path(settings.STATIC_ROOT)
    note = root / ".collected"
    state = _static_files_state()
    if note.exists() and note.read_text() == state:
        return
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=UNUSED)
    note.write_text(state)


def _static_files_state() -> str:
    from django.contrib.staticfiles.finders import get_finders

    digest = hashlib.sha256(repr([settings.STORAGES, UNUSED]).encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            facts = Path(storage.path(path)).stat()
            digest.update(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def make_admin(var: installation.Folder, given_password: str) -> bool:
    """Make the administrator where there is no user yet; whether it was. A password made here is noted until shown."""
    from django.contrib.auth.models import User

    if User.objects.exists():
        return False
    password = given_password or secrets.token_urlsafe(12)
    # Before the user: a crash in between costs a note that is written anew, never a password nobody has seen.
    note = {"username": ADMIN, "password": "" if given_password else password}
    write_private(var.first_login, json.dumps(note))
    User.objects.create_superuser(ADMIN, password=password)
    return True


def add_store(endpoint_url: str, kept: installation.Kept, *, first: bool) -> None:
    """Add the embedded store, or follow it to another port. One that an administrator deleted stays deleted."""
    from uploads.models import Store
    from uploads.services.stores import settings

    store = Store.objects.filter(name=installation.STORE).first()
    if store is None:
        if first:
            settings.add_store(None, _store_values(endpoint_url, kept, ()))
    elif (store.endpoint_url, store.secret_key) != (endpoint_url, kept.store_secret_key):
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
