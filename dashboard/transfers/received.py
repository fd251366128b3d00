"""Digests of what a transfer has received: the page of a new transfer compares its file with them before it resumes."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboard.shared.jsonapi import json_error
from dashboard.shared.messages import text_of
from uploads import access
from uploads.problems import Code, Problem
from uploads.services.transfers.receive.digests import received_ranges

BYTES_PER_REQUEST = 256 * 1024**2
PARTS_PER_REQUEST = 1000


@require_safe
def received(request: HttpRequest, transfer_id: uuid.UUID) -> HttpResponse:
    """The ranges of bytes received from the offset `from` on, and their CRC-64: `{"algorithm", "ranges", "next"}`.

    The first range starts at or before `from`. `next` is the offset to request next, null after the last byte.
    """
    transfer = access.transfer_to_send(request.user, transfer_id)
    start = request.GET.get("from", "0")
    if not (start.isascii() and start.isdigit() and len(start) < 20):
        return json_error("InvalidArgument", _("“from” must be an offset in the file."), status=400)
    if transfer.node != settings.NODE_NAME and not transfer.all_received:
        problem = Problem(Code.OTHER_NODE, node=transfer.node)
        return json_error(problem.code, text_of(problem), status=503)
    found = received_ranges(transfer, int(start), BYTES_PER_REQUEST, PARTS_PER_REQUEST)
    ranges = [{"start": each.start, "size": each.size, "crc64": each.crc64 or None} for each in found.ranges]
    return JsonResponse({"algorithm": found.algorithm, "ranges": ranges, "next": found.next_start})
