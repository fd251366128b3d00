"""`/files/`: tus 1.0.0, with creation, creation-with-upload, termination, expiration and checksum.

Every error is JSON. A transfer is accessible to the operator who created it only. See
https://tus.io/protocols/resumable-upload.
"""

from dashboard.transfers.tus.creation import create, options
from dashboard.transfers.tus.protocol import tus_view
from dashboard.transfers.tus.together import create_together
from dashboard.transfers.tus.upload import delete, head, patch

files = tus_view({"POST": create, "OPTIONS": options})
"""Uploads are created here."""

file = tus_view({"HEAD": head, "PATCH": patch, "DELETE": delete, "OPTIONS": options})
"""One upload; its address ends with the transfer's id."""

files_together = tus_view({"POST": create_together}, needs_version=False)
"""Not of tus: the page of a new transfer creates several uploads with all their bytes in one request."""

__all__ = ["file", "files", "files_together"]
