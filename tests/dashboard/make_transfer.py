"""Transfers in any state, created as rows: pages need no bytes to show them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from uploads.domain.states import PartState, Phase
from uploads.models import Part, Store, StoreUpload, Transfer

MIB = 1024**2


def make_transfer(
    owner: User, store: Store, *, sent: int = 0, sending: int = 0, staged: int = 0, upload_id: str = "", **values: Any
) -> Transfer:
    """A transfer of ten parts of 1 MiB, with the given numbers of sent, sending and staged parts."""
    facts = {"bucket": "photos", "key": "cat.jpg", "size": 10 * MIB, "part_size": MIB, "part_count": 10, "node": "n"}
    now = timezone.now()
    given = facts | {"phase": Phase.SENDING, "received_at": now, "sending_at": now} | values
    transfer = Transfer.objects.create(owner=owner, store=store, **given)
    states = [PartState.SENT] * sent + [PartState.SENDING] * sending + [PartState.STAGED] * staged
    Part.objects.bulk_create(
        Part(
            transfer=transfer,
            number=number,
            size=transfer.plan.part(number).size,
            received=transfer.plan.part(number).size,
            state=state,
            sent_at=now if state is PartState.SENT else None,
        )
        for number, state in enumerate(states, start=1)
    )
    if upload_id:
        StoreUpload.objects.create(transfer=transfer, upload_id=upload_id)
    return transfer
