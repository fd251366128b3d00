"""Being the only writer of the staged bytes of a transfer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from uploads.domain.states import FINAL_PHASES
from uploads.models import Transfer


@contextmanager
def only_writer(transfer: Transfer) -> Iterator[None]:
    """Be the only writer, and leave nothing of a transfer that has ended in the meantime. Raises WriterBusy, OSError.

    Its staged bytes were removed when it ended, and the lock has created their folder again, which nobody else would
    remove.
    """
    folder = transfer.folder
    with folder.writer():
        try:
            yield
        finally:
            # The row is read only if there is nothing else, which is rare.
            if folder.has_only_lock() and Transfer.objects.filter(pk=transfer.pk, phase__in=FINAL_PHASES).exists():
                folder.remove()
