"""The transfer that a new one has to wait for, because both write the same key."""

from __future__ import annotations

from django.db.models import Q

from uploads.domain.states import LIVE_PHASES, DesiredState, PartState
from uploads.models import Part, Store, Transfer


def find_in_the_way(store: Store, bucket: str, key: str) -> Transfer | None:
    """A transfer that can still write this key; None if the key is free.

    A transfer that is being cancelled completes nothing, so it is in the way only while its PutObject may arrive.
    """
    live = Transfer.objects.filter(store=store, bucket=bucket, key=key, phase__in=LIVE_PHASES)
    sends_object = Q(part_count=1) & Q(pk__in=Part.objects.filter(state=PartState.SENDING).values("transfer_id"))
    return live.filter(~Q(desired_state=DesiredState.CANCEL) | sends_object).select_related("store").first()
