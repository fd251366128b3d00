"""What sending shows about the ETags of a store: that they are MD5s, or that they are not.

An ETag that looks like an MD5 and is not that of the bytes has one of two causes: the store received other bytes, or
its ETags are no MD5s. The bytes are sent again. If the store then reports the same ETag, and no ETag of this store has
ever been the MD5 of what was sent, its ETags are taken for something else, and are not compared any more. An ETag that
changes from one attempt to the next, or an ETag of a store whose ETags have been MD5s before, stays a mismatch: the
attempts are counted, and the transfer fails with its bytes still staged. A store check sends bytes to find out.
"""

from __future__ import annotations

from django.db import transaction

from uploads import audit
from uploads.models import Store

ETAG_IS_MD5 = "etag_is_md5"


def note_md5(store: Store) -> None:
    """Record that an ETag of this store was the MD5 of the bytes that were sent."""
    if not store.etag_was_md5:
        Store.objects.filter(pk=store.pk, etag_was_md5=False).update(etag_was_md5=True)


def note_repeated_mismatch(store: Store) -> bool:
    """Override the profile: the ETags of this store are no MD5s. False if they have been before: the bytes differ."""
    with transaction.atomic():
        locked = Store.objects.select_for_update().get(pk=store.pk)
        if locked.etag_was_md5:
            return False
        if locked.overrides.get(ETAG_IS_MD5) is not False:
            # Not by `save`: overrides are no edit of the store.
            overrides = {**locked.overrides, ETAG_IS_MD5: False}
            Store.objects.filter(pk=locked.pk).update(overrides=overrides)
            audit.record(None, "store.etags-no-md5", store=locked.name, detail={"found": [ETAG_IS_MD5]})
    return True
