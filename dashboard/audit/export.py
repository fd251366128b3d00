"""The whole audit log with a filter, as CSV and JSON Lines. It is streamed: its length does not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from django.http import HttpRequest, StreamingHttpResponse

from dashboard.audit.serializers import line_json
from dashboard.shared.audit_words import details_of
from dashboard.shared.exports import attachment, csv_lines, json_lines
from dashboard.shared.jsonapi import iso
from dashboard.shared.messages.audit import action_text
from uploads import access, audit
from uploads.selectors.audit import AuditFilter, AuditLine, iter_audit_lines

COLUMNS: Mapping[str, Callable[[AuditLine], str]] = {
    "at": lambda line: iso(line.entry.at) or "",
    "actor": lambda line: line.entry.actor_name,
    "address": lambda line: line.entry.address,
    "means": lambda line: line.entry.means,
    "token": lambda line: line.entry.token,
    "action": lambda line: line.last.action,
    "text": lambda line: action_text(line.last.action),
    "outcome": lambda line: line.last.outcome,
    "ended_at": lambda line: (iso(line.last.at) or "") if line.outcomes else "",
    "store": lambda line: line.entry.store,
    "bucket": lambda line: line.entry.bucket,
    "key": lambda line: line.entry.key,
    "upload_id": lambda line: line.entry.upload_id,
    "transfer": lambda line: str(line.entry.transfer_id or ""),
    "operation": lambda line: str(line.entry.operation_id or ""),
    "request_id": lambda line: line.last.request_id,
    "details": lambda line: "; ".join(_words(line)),
}
"""The columns of the CSV. The values of a line with an outcome are those of the outcome where both have one."""


def export(request: HttpRequest, form: str, given: Mapping[str, str], wanted: AuditFilter) -> StreamingHttpResponse:
    """The lines that the user sees with this filter. The export is recorded itself, before its first line."""
    lines = iter_audit_lines(request.user, wanted)
    if request.method == "GET":
        audit.record(access.actor(request.user), "audit.exported", detail={"format": form, "filter": dict(given)})
    return attachment("audit", form, FORMATS[form](lines))


def _words(line: AuditLine) -> Iterator[str]:
    for entry in (line.entry, *line.outcomes):
        yield from (f"{name}: {value}" for name, value in details_of(entry))


FORMATS: Mapping[str, Callable[[Iterable[AuditLine]], Iterator[str]]] = {
    "csv": lambda lines: csv_lines(COLUMNS, lines),
    "jsonl": lambda lines: json_lines(line_json(line) for line in lines),
}
