"""Filters that show values: sizes, times, counts, keys and problems. They are built in: no template loads them.

templates/components/README.md lists them with the components.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from django import template
from django.utils.safestring import SafeString

from dashboard.shared import formatting
from dashboard.shared.audit_words import details_of, origin_of
from dashboard.shared.messages import error_text as text_of_error
from dashboard.shared.messages import text_of
from dashboard.shared.messages.access import ROLES
from dashboard.shared.messages.audit import action_text
from dashboard.shared.messages.people import scope_names
from dashboard.shared.numbers import count_text
from uploads import access
from uploads.domain.cost import Costs, Money
from uploads.domain.roles import Action, Role
from uploads.problems import Problem, RecordedError

if TYPE_CHECKING:
    from uploads.models import AuditEntry, Store

register = template.Library()


@register.filter(name="bytes")
def bytes_filter(size: int | None) -> SafeString:
    return formatting.bytes_html(size)


@register.filter
def bytes_text(size: int) -> str:
    return formatting.bytes_text(size)


@register.filter
def exact_bytes(size: int) -> str:
    return formatting.exact_bytes_text(size)


@register.filter
def money(cost: Money | Costs | None) -> str:
    """A cost of a month, or a sum of costs; None: the price is not set."""
    return formatting.costs_text(cost) if isinstance(cost, Costs) else formatting.money_text(cost)


@register.filter
def money_cell(cost: Money | Costs | None) -> SafeString:
    """A cost in a table: a dash where no price is set. The page says once what has no price."""
    return formatting.money_html(cost)


@register.filter
def signed_bytes(size: int) -> str:
    """What was added, or taken away: +1.50 KiB."""
    return formatting.signed_text(formatting.bytes_text, size)


@register.filter
def signed_count(number: int) -> str:
    return formatting.signed_text(count_text, number)


@register.filter
def rate(bytes_per_second: float) -> str:
    return formatting.rate_text(bytes_per_second)


@register.filter
def count(number: int) -> str:
    """A whole number with the thousands separators of the language."""
    return count_text(number)


@register.filter
def percent(value: int, maximum: int) -> int:
    """Whole per cent, rounded down: 100 means all of it."""
    return formatting.percent(value, maximum)


@register.filter
def percent_text(value: int, maximum: int) -> str:
    """As percent, with its sign: 42%."""
    return formatting.percent_text(formatting.percent(value, maximum))


@register.filter
def when(at: datetime | None) -> SafeString:
    return formatting.time_html(at)


@register.filter
def time_text(at: datetime) -> str:
    return formatting.time_text(at)


@register.filter
def age(at: datetime | None) -> SafeString:
    return formatting.age_html(at)


@register.filter
def duration(seconds: float | None) -> str:
    return formatting.duration_text(seconds)


@register.filter
def audit_details(entry: AuditEntry) -> list[tuple[str, str]]:
    """The changes and the details of an audit entry: names and values."""
    return details_of(entry)


@register.filter
def audit_origin(entry: AuditEntry) -> str:
    """From where, and by which means."""
    return origin_of(entry)


@register.filter
def audit_action(action: str) -> str:
    """The text of an action of the audit log, or '' if there is none."""
    return action_text(action)


@register.filter
def problem_text(problem: Problem) -> str:
    """The text of a problem: a code with its parameters."""
    return text_of(problem)


@register.filter
def error_text(error: RecordedError) -> str:
    """The text of an error that a row keeps."""
    return text_of_error(error)


@register.filter
def key_text(key: str) -> SafeString:
    return formatting.key_html(key)


@register.filter
def key_mark(key: str) -> str:
    """A key in a text without markup."""
    return formatting.key_mark_text(key)


@register.filter
def short_id(upload_id: str) -> str:
    return formatting.short_id(upload_id)


@register.filter
def exactly(value: str) -> str:
    """Percent-encoded as a whole, for a query string or a data attribute: no browser changes a character of it."""
    return quote(value, safe="")


@register.filter
def at(user: access.AnyUser, thing: access.Thing) -> tuple[access.AnyUser, access.Thing]:
    """Narrows `may` to a store, a transfer, an operation or a place: `request.user|at:store|may:"check-stores"`."""
    return user, thing


@register.filter
def may(asked: access.AnyUser | tuple[access.AnyUser, access.Thing], action: str) -> bool:
    """Whether a role of the user includes an action of `uploads.domain.roles.Action`, there or anywhere."""
    user, thing = asked if isinstance(asked, tuple) else (asked, None)
    return user.is_authenticated and access.may(user, Action(action), thing)


@register.filter
def endpoint_for(store: Store, user: access.AnyUser) -> str:
    """The address of a store; '' for a user who has no role for the whole store."""
    return store.endpoint_url if access.may_see_endpoint(user, store) else ""


@register.filter
def role_name(user: access.AnyUser) -> str:
    """The highest role of the user; '' if there is none."""
    role = access.role_of(user)
    return str(ROLES[role]) if role else ""


@register.filter
def scopes_text(scopes: list[str]) -> str:
    """What an access token allows, as one text."""
    return scope_names(scopes)


@register.filter
def role_text(role: str) -> str:
    """The name of a stored role."""
    return str(ROLES[Role(role)])
