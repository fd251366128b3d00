"""The metadata that names an object's transfer, and the check that uses it."""

from __future__ import annotations

import uuid

from uploads.models import Transfer
from uploads.objectstore.types import ObjectFacts
from uploads.services.browse.ownership import TRANSFER_ID_METADATA

SHA256_METADATA = "partway-sha256"
"""Object metadata with the SHA-256 of the whole file, if it was given before the first byte."""


def object_metadata(transfer: Transfer) -> dict[str, str]:
    """The metadata of the form, the transfer's id, and the expected SHA-256 if it is known in time."""
    ours = {TRANSFER_ID_METADATA: str(transfer.pk), SHA256_METADATA: transfer.expected_sha256}
    return {**transfer.metadata, **{name: value for name, value in ours.items() if value}}


def is_ours(transfer: Transfer, facts: ObjectFacts | None) -> bool:
    """Whether an object is the one this transfer created: with its size and its id."""
    return (
        facts is not None
        and facts.size == transfer.size
        and facts.metadata.get(TRANSFER_ID_METADATA) == str(transfer.pk)
    )


def transfer_id_of(facts: ObjectFacts) -> uuid.UUID | None:
    """The id of the transfer that has created an object, by its metadata, which anybody can write."""
    try:
        return uuid.UUID(facts.metadata.get(TRANSFER_ID_METADATA, ""))
    except ValueError:
        return None
