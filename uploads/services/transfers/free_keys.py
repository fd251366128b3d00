"""What several new files may be refused for together: keys that are in use, and the limit of their owner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F, QuerySet
from django.db.models.lookups import Exact

from uploads.database.prepared import Given, GivenTexts, Rows
from uploads.domain.states import LIVE_PHASES, Phase
from uploads.models import Transfer
from uploads.services.transfers.start import NewTransfer, has_open

Key = tuple[int, str, str]
"""A store, a bucket and a key."""


def key_of(new: NewTransfer) -> Key:
    return new.store.pk, new.bucket, new.key


def used_keys(news: Iterable[NewTransfer]) -> set[Key]:
    """Those of their keys that unfinished transfers have: a statement for each store and bucket."""
    names = defaultdict[tuple[int, str], list[str]](list)
    for new in news:
        names[new.store.pk, new.bucket].append(new.key)
    return {
        (store, bucket, name)
        for (store, bucket), keys in names.items()
        for (name,) in _USED_KEYS(store=store, bucket=bucket, keys=keys)
    }


def _of_keys() -> QuerySet[Transfer, Any]:
    # By the sum, SQLite cannot look for all transfers of the store: it would, rather than for those of several keys.
    is_of_store = Exact(F("store_id") + 0, Given(Transfer, "store"))
    rows = Transfer.objects.filter(is_of_store, bucket=Given(Transfer, "bucket"), key__in=GivenTexts("keys"))
    return rows.filter(phase__in=LIVE_PHASES | {Phase.FAILED}).order_by().values_list("key")


_USED_KEYS = Rows(_of_keys)


def has_room(owner: User, count: int) -> bool:
    """Whether the owner may have so many more transfers in progress."""
    place = settings.USER_OPEN_TRANSFERS - count + 1
    return place > 0 and not has_open(place)(owner=owner.pk)
