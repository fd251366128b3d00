"""Reading the audit log for its page and its exports.

A line is an entry and the entries with its outcome. It is where its entry is, so that an outcome that arrives later
moves no line, and a page that begins at an id shows the same lines again. Only filters by what an outcome itself says
(the exact action, the outcome, the store's request id) find lines by their outcomes.

Whatever the filter, a page reads a bounded number of rows: the index of the most selective condition gives candidates
in the order of the page, and the other conditions are tested on them. If they are many and few match, the page ends
early and says where it stopped.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Substr

from uploads import access
from uploads.access import AnyUser
from uploads.domain.beginnings import after_all_with
from uploads.models import AuditEntry

CANDIDATES = (1_000, 10_000, 90_000)
"""Entries that are tested for one page, in steps. Most pages are full after the first."""

FEW_KEYS = 2_000
"""A prefix of keys with at most so many entries is read by the index of keys, and others in the order of time."""

TOLERANCE = timedelta(hours=1)
"""How much the clocks of nodes may differ: ids and times are in the same order except for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """What a line must have; '' and None: anything. `action` without a dot is the thing, such as `abort`."""

    actor: str = ""
    address: str = ""
    means: str = ""
    token: str = ""
    action: str = ""
    outcome: str = ""
    store: str = ""
    bucket: str = ""
    key: str = ""
    prefix: str = ""
    upload_id: str = ""
    transfer: uuid.UUID | None = None
    operation: uuid.UUID | None = None
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_of_outcomes(self) -> bool:
        """Whether it names what only an entry itself has, and not its line."""
        return bool("." in self.action or self.outcome or self.request_id)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """An entry, and those with its outcome, oldest first."""

    entry: AuditEntry
    outcomes: tuple[AuditEntry, ...] = ()

    @property
    def last(self) -> AuditEntry:
        """The entry that says what became of it."""
        return self.outcomes[-1] if self.outcomes else self.entry


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Lines in the order that was wanted.

    `older` and `newer` are the ids to continue before and after; None: there is nothing.

    `searched_until`: the time of the last entry that was tested, if the page ended early.
    """

    lines: tuple[AuditLine, ...]
    older: int | None = None
    newer: int | None = None
    searched_until: datetime | None = None


def find_audit_page(
    user: AnyUser,
    wanted: AuditFilter,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int,
    oldest_first: bool = False,
) -> AuditPage:
    """The newest lines, or the oldest; or those before an id, or after one."""
    search = _search(access.audit_entries_to_see(user), wanted)
    backwards = before is not None if oldest_first else after is None
    marker = before if backwards else after
    found = search.run(marker, limit, newest_first=backwards)
    lines = lines_of(found.entries)
    ids = [each.pk for each in found.entries]
    further = ids[-1] if found.has_more else found.stopped_at
    back = None if marker is None else ids[0] if ids else marker + (-1 if backwards else 1)
    return AuditPage(
        lines=tuple(lines if backwards != oldest_first else reversed(lines)),
        older=further if backwards else back,
        newer=back if backwards else further,
        searched_until=_time_of(found.stopped_at),
    )


def iter_audit_lines(user: AnyUser, wanted: AuditFilter, *, batch: int = 1000) -> Iterator[AuditLine]:
    """All lines that a user sees with this filter, newest first: those that there are now. Needs constant memory.

    Raises NotAllowed before it returns.
    """
    search = _search(access.audit_entries_to_see(user), wanted)
    newest = AuditEntry.objects.order_by("-id").values_list("pk", flat=True).first()
    return _iter_lines(search, (newest or 0) + 1, batch)


def _iter_lines(search: _Search, before: int, batch: int) -> Iterator[AuditLine]:
    marker: int | None = before
    while marker is not None:
        found = search.run(marker, batch, newest_first=True)
        yield from lines_of(found.entries)
        marker = found.entries[-1].pk if found.has_more else found.stopped_at


# --- Which entries ----------------------------------------------------------------------------------------------------


MOMENT = Coalesce("at", "at")
"""The time of an entry, in a form for which no database uses the index of times: its order is another."""

BEGINS_LINE: Mapping[str, bool] = {"ordered_id__isnull": True}


@dataclass(frozen=True, slots=True)
class _Found:
    """Entries in the order of the search. `stopped_at`: the last candidate, if there are more than were tested."""

    entries: Sequence[AuditEntry]
    has_more: bool = False
    stopped_at: int | None = None


@dataclass(frozen=True, slots=True)
class _Search:
    """`rows` match. `candidates` include them, and an index has the candidates in the order of their ids.

    If all candidates match, they need not be counted. `ids`, if given, are all candidates.
    """

    rows: QuerySet[AuditEntry]
    candidates: QuerySet[AuditEntry]
    all_match: bool

    def run(self, marker: int | None, limit: int, *, newest_first: bool) -> _Found:
        order = "-id" if newest_first else "id"
        past = "lt" if newest_first else "gt"
        entries: list[AuditEntry] = []
        for count in CANDIDATES:
            beyond = Q() if marker is None else Q(**{f"pk__{past}": marker})
            last = None if self.all_match else self._candidate(beyond, order, count)
            within = beyond if last is None else beyond & Q(**{f"pk__{'gte' if newest_first else 'lte'}": last})
            entries += self.rows.filter(within).order_by(order)[: limit + 1 - len(entries)]
            if len(entries) > limit:
                return _Found(entries[:limit], has_more=True)
            if last is None:
                return _Found(entries)
            marker = last
        return _Found(entries, stopped_at=marker)

    def _candidate(self, beyond: Q, order: str, count: int) -> int | None:
        """The id of the last of so many candidates; None if there are fewer."""
        ids = self.candidates.filter(beyond).order_by(order).values_list("pk", flat=True)
        return next(iter(ids[count - 1 : count]), None)


def _search(visible: QuerySet[AuditEntry], wanted: AuditFilter) -> _Search:
    between = _between(wanted)
    conditions = _rarest_first(wanted, list(_conditions(wanted)))
    of_lines = _is_of_lines(wanted, conditions[:1])
    candidates = AuditEntry.objects.filter(between, *conditions[:1], **(BEGINS_LINE if of_lines else {}))
    rows = visible.filter(between, *conditions, **({} if wanted.is_of_outcomes else BEGINS_LINE))
    if wanted.since or wanted.until:
        rows = rows.annotate(moment=MOMENT).filter(*_times(wanted))
    if wanted.prefix:
        few = _few_keys(wanted.prefix)
        if few is not None:
            return _Search(rows.filter(pk__in=few), candidates, all_match=True)
        # Not by the index of keys, whose order is another.
        rows = rows.annotate(beginning=Substr("key", 1, len(wanted.prefix))).filter(beginning=wanted.prefix)
    tests_others = bool(visible.query.where or wanted.prefix or wanted.since or wanted.until or conditions[1:])
    return _Search(rows, candidates, all_match=not tests_others and (of_lines or wanted.is_of_outcomes))


def _is_of_lines(wanted: AuditFilter, conditions: Sequence[Q]) -> bool:
    """Whether the index for the conditions has only entries that begin a line, and these are wanted."""
    return not wanted.is_of_outcomes and all(each in _of_lines(wanted) for each in conditions)


def _rarest_first(wanted: AuditFilter, conditions: list[Q]) -> list[Q]:
    """The conditions, first the one that has fewest entries, as far as it is worth counting them."""
    # Where outcomes are searched for, the indexes of entries that begin a line are of no use.
    counted = [each for each in conditions if not (wanted.is_of_outcomes and each in _of_lines(wanted))]
    if len(counted) > 1:
        counted.sort(key=lambda each: _count(each, of_lines=_is_of_lines(wanted, [each])))
    return counted + [each for each in conditions if each not in counted]


def _count(condition: Q, *, of_lines: bool) -> int:
    ids = AuditEntry.objects.filter(condition, **(BEGINS_LINE if of_lines else {})).order_by("-id")
    return len(ids.values_list("pk", flat=True)[: CANDIDATES[0]])


def _conditions(wanted: AuditFilter) -> Iterator[Q]:
    """Equality with each given value. If several have as many entries, the index of the first is used."""
    if wanted.request_id:
        yield Q(request_id=wanted.request_id, request_id__gt="")
    if wanted.upload_id:
        yield Q(upload_id=wanted.upload_id, upload_id__gt="")
    if wanted.transfer:
        yield Q(transfer_id=wanted.transfer, transfer_id__isnull=False)
    if wanted.operation:
        yield Q(operation_id=wanted.operation, operation_id__isnull=False)
    if wanted.key:
        yield Q(key=wanted.key, key__gt="")
    if "." in wanted.action:
        yield Q(action=wanted.action)
    if wanted.outcome:
        yield Q(outcome=wanted.outcome)
    yield from _of_lines(wanted)


def _of_lines(wanted: AuditFilter) -> list[Q]:
    """The conditions whose index has only entries that begin a line."""
    thing = "" if "." in wanted.action else wanted.action
    values = {
        "token": wanted.token,
        "address": wanted.address,
        "actor_name": wanted.actor,
        "bucket": wanted.bucket,
        "store": wanted.store,
        "thing": thing,
        "means": wanted.means,
    }
    return [Q(**{name: value}) for name, value in values.items() if value]


# --- Prefixes and times -----------------------------------------------------------------------------------------------


def _starts_with(prefix: str) -> Q:
    """Keys with this beginning. SQLite has no index for LIKE, which ignores case there too."""
    if connection.vendor == "postgresql":
        return Q(key__startswith=prefix, key__gt="")
    end = after_all_with(prefix)
    return Q(key__gte=prefix, key__gt="") & (Q(key__lt=end) if end else Q())


def _few_keys(prefix: str) -> list[int] | None:
    """The ids of all entries with keys that begin so; None if they are many."""
    ids = AuditEntry.objects.filter(_starts_with(prefix)).order_by().values_list("pk", flat=True)
    found = list(ids[: FEW_KEYS + 1])
    return found if len(found) <= FEW_KEYS else None


def _times(wanted: AuditFilter) -> list[Q]:
    since = [Q(moment__gte=wanted.since)] if wanted.since else []
    return since + ([Q(moment__lt=wanted.until)] if wanted.until else [])


def _between(wanted: AuditFilter) -> Q:
    """The ids of entries of these times, with those of some time around them."""
    ids = AuditEntry.objects.values_list("pk", flat=True)
    condition = Q()
    if wanted.since:
        earlier = ids.filter(at__lt=wanted.since - TOLERANCE).order_by("-at", "-id").first()
        condition &= Q() if earlier is None else Q(pk__gt=earlier)
    if wanted.until:
        later = ids.filter(at__gt=wanted.until + TOLERANCE).order_by("at", "id").first()
        condition &= Q() if later is None else Q(pk__lt=later)
    return condition


# --- Lines ------------------------------------------------------------------------------------------------------------


def lines_of(entries: Sequence[AuditEntry]) -> list[AuditLine]:
    """The lines of entries, in their order, each once."""
    begun = {each.pk: each for each in entries if each.ordered_id is None}
    missing = {each.ordered_id for each in entries if each.ordered_id is not None} - begun.keys()
    begun |= {each.pk: each for each in AuditEntry.objects.filter(pk__in=missing).order_by()} if missing else {}
    outcomes: dict[int | None, list[AuditEntry]] = {}
    ends = AuditEntry.objects.filter(ordered_id__in=list(begun), ordered_id__isnull=False).order_by()
    for each in sorted(ends, key=lambda each: each.pk):
        outcomes.setdefault(each.ordered_id, []).append(each)
    lines: dict[int, AuditLine] = {}
    for each in entries:
        entry = begun.get(each.ordered_id or each.pk, each)
        lines.setdefault(entry.pk, AuditLine(entry, tuple(outcomes.get(entry.pk, ()))))
    return list(lines.values())


def _time_of(pk: int | None) -> datetime | None:
    return AuditEntry.objects.filter(pk=pk).values_list("at", flat=True).first() if pk else None
