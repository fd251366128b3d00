"""The keys of stored secrets: which are in use, and encrypting all secrets with the first one.

Rotation needs no lock: a row is replaced only if it still has the value that was read. It can be stopped and repeated
at any time, next to running processes, which decrypt with every key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db.models import Model

from uploads import audit
from uploads.models.fields import EncryptedTextField, Sealed, cipher

BATCH = 100
"""Rows that are read at a time. Each row is written by a statement of its own, so nothing waits for a batch."""


@dataclass(slots=True)
class Rotation:
    """The number of secrets of a model: rotated now, encrypted with the first key before, not decrypted by any key.

    `changed` were changed by another process in the meantime, which encrypts with its own first key.
    """

    model: str
    rotated: int = 0
    current: int = 0
    changed: int = 0
    unreadable: int = 0
    unreadable_rows: tuple[str, ...] = ()


def rotate() -> list[Rotation]:
    """Encrypt every stored secret of every model with the first of CREDENTIALS_KEYS."""
    done = [_rotate(model, fields) for model, fields in _encrypted()]
    counts = {"rotated": sum(each.rotated for each in done), "failed": sum(each.unreadable for each in done)}
    audit.record(None, "secrets.rotated", detail=counts)
    return done


def unused_keys() -> list[int]:
    """The positions in CREDENTIALS_KEYS, from 1, of the keys that decrypt no stored secret; empty if there is none."""
    ciphers = {number: Fernet(key) for number, key in enumerate(settings.CREDENTIALS_KEYS, 1)}
    unused, has_secrets = set(ciphers), False
    for model, fields in _encrypted():
        for _pk, tokens in _rows(model, fields):
            has_secrets = has_secrets or bool(tokens)
            unused -= {
                number for number in unused if any(_decrypts(ciphers[number], token) for token in tokens.values())
            }
    return sorted(unused) if has_secrets else []


def _encrypted() -> list[tuple[type[Model], list[str]]]:
    """The models with encrypted fields, and the names of these."""
    found = []
    for model in apps.get_models():
        names = [field.attname for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)]
        if names:
            found.append((model, names))
    return found


def _rows(model: type[Model], fields: list[str]) -> Iterator[tuple[object, dict[str, str]]]:
    """The primary key of each row that has a secret, and its tokens by field."""
    last: object = None
    while True:
        rows = model._default_manager.all() if last is None else model._default_manager.filter(pk__gt=last)
        page = list(rows.order_by("pk").values_list("pk", *fields)[:BATCH])
        for pk, *values in page:
            tokens = {name: value.token for name, value in zip(fields, values, strict=True) if value}
            if tokens:
                yield pk, tokens
        if len(page) < BATCH:
            return
        last = page[-1][0]


def _rotate(model: type[Model], fields: list[str]) -> Rotation:
    done = Rotation(model._meta.label)
    first = Fernet(settings.CREDENTIALS_KEYS[0])
    for pk, tokens in _rows(model, fields):
        for name, token in tokens.items():
            if _decrypts(first, token):
                done.current += 1
                continue
            try:
                new = cipher().rotate(token.encode()).decode()
            except InvalidToken:
                done.unreadable += 1
                done.unreadable_rows += (_name_of(model, pk),)
                continue
            same = model._default_manager.filter(pk=pk, **{name: Sealed(token)})
            if same.update(**{name: Sealed(new)}):
                done.rotated += 1
            else:
                done.changed += 1
    done.unreadable_rows = tuple(dict.fromkeys(done.unreadable_rows))
    return done


def _decrypts(key: Fernet, token: str) -> bool:
    try:
        key.decrypt(token.encode())
    except InvalidToken:
        return False
    return True


def _name_of(model: type[Model], pk: object) -> str:
    row = model._default_manager.filter(pk=pk).first()
    return str(row or pk)
