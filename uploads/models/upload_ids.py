"""Which of many upload ids this site knows. Of a page of 1,000 uploads, it usually knows none."""

from __future__ import annotations

from collections.abc import Sequence

from uploads.database.prepared import GivenTexts, Rows
from uploads.models.operation import OperationItem
from uploads.models.transfer import StoreUpload

_OF_TRANSFERS = Rows(
    lambda: StoreUpload.objects.filter(upload_id__in=GivenTexts("ids")).order_by().values_list("upload_id")
)
_OF_OPERATIONS = Rows(
    lambda: OperationItem.objects.filter(upload_id__in=GivenTexts("ids")).order_by().values_list("upload_id")
)


def of_transfers(upload_ids: Sequence[str]) -> list[str]:
    """Those that transfers have had, in any store: one statement, none without upload ids."""
    return _known(_OF_TRANSFERS, upload_ids)


def of_operations(upload_ids: Sequence[str]) -> list[str]:
    """Those that operations are or were about, in any store."""
    return _known(_OF_OPERATIONS, upload_ids)


def _known(statement: Rows, upload_ids: Sequence[str]) -> list[str]:
    return list({upload_id for (upload_id,) in statement(ids=upload_ids)}) if upload_ids else []
