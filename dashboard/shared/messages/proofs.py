"""What was proved of an object, as text. Pages and JSON say no more than this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from uploads.domain.proofs import Proof

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

PROOFS: Mapping[str, StrPromise] = {
    Proof.SIZE: gettext_lazy("size"),
    Proof.ETAG: gettext_lazy("ETag"),
    Proof.CRC64: gettext_lazy("CRC-64"),
    Proof.TRANSFER_ID: gettext_lazy("transfer id"),
    Proof.DATE: gettext_lazy("date"),
}


def proofs_text(proofs: Sequence[str]) -> str:
    """The names of proofs. What a later version stored is shown as it is."""
    return ", ".join(str(PROOFS.get(proof, proof)) for proof in proofs)


def verification_text(*, verified: bool, proofs: Sequence[str]) -> str:
    """Whether HEAD has confirmed an object, and what of it. Without proofs: as an earlier version recorded it."""
    if verified and proofs:
        return _("verified by HEAD: %(proofs)s") % {"proofs": proofs_text(proofs)}
    if verified:
        return _("verified by HEAD")
    if proofs:
        return _("not verified by HEAD; as expected: %(proofs)s") % {"proofs": proofs_text(proofs)}
    return _("not verified")
