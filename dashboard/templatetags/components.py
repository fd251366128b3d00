"""Components that pages repeat, as template tags. They are built in: no template loads them.

templates/components/README.md lists them with the filters.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from django import template
from django.conf import settings
from django.template import Context
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared.explain import REASON_TEXTS, Explanation
from dashboard.shared.formatting import percent, percent_text
from dashboard.shared.links import try_again_url
from dashboard.shared.messages import error_json
from dashboard.templatetags.values import exactly
from uploads.models import Store
from uploads.objectstore.errors import Reason
from uploads.problems import RecordedError

register = template.Library()


class State(NamedTuple):
    """How a state is shown: its text (lazy), and the tone of the dot before it."""

    text: Any
    tone: str


STATES = {
    "receiving": State(gettext_lazy("receiving"), "busy"),
    "sending": State(gettext_lazy("sending"), "busy"),
    "waiting-for-browser": State(gettext_lazy("waiting for the browser"), "warn"),
    "completing": State(gettext_lazy("completing"), "busy"),
    "running": State(gettext_lazy("running"), "busy"),
    "ordered": State(gettext_lazy("queued"), "wait"),
    "waiting": State(gettext_lazy("waiting"), "wait"),
    "staged": State(gettext_lazy("staged"), "wait"),
    "paused": State(gettext_lazy("paused"), "wait"),
    "cancelling": State(gettext_lazy("cancelling"), "warn"),
    "pausing": State(gettext_lazy("pausing"), "wait"),
    "stopping": State(gettext_lazy("stopping"), "warn"),
    "halted": State(gettext_lazy("stopped"), "idle"),
    "left": State(gettext_lazy("not begun"), "idle"),
    "waiting-for-node": State(gettext_lazy("waiting for the node"), "warn"),
    "waiting-for-space": State(gettext_lazy("waiting for space"), "warn"),
    "waiting-for-store": State(gettext_lazy("waiting for the store"), "warn"),
    "silent": State(gettext_lazy("silent"), "bad"),
    "partly-failed": State(gettext_lazy("partly failed"), "warn"),
    "unknown": State(gettext_lazy("outcome unknown"), "warn"),
    "possible-orphan": State(gettext_lazy("possible orphan"), "warn"),
    "disabled": State(gettext_lazy("disabled"), "idle"),
    "done": State(gettext_lazy("done"), "good"),
    "sent": State(gettext_lazy("sent"), "good"),
    "reachable": State(gettext_lazy("reachable"), "good"),
    "failed": State(gettext_lazy("failed"), "bad"),
    "unreachable": State(gettext_lazy("unreachable"), "bad"),
    "not-answering": State(gettext_lazy("not answering"), "bad"),
    "answers": State(gettext_lazy("answers"), "good"),
    "refuses-credentials": State(gettext_lazy("refuses the credentials"), "bad"),
    "secret-unreadable": State(gettext_lazy("secrets cannot be decrypted"), "bad"),
    "address-refused": State(gettext_lazy("address not allowed"), "bad"),
    "clock-skew": State(gettext_lazy("clocks differ too much"), "bad"),
    "tls": State(gettext_lazy("no secure connection"), "bad"),
    "faulty": State(gettext_lazy("answers with errors"), "bad"),
    "never-tried": State(gettext_lazy("not tried yet"), "idle"),
    "cancelled": State(gettext_lazy("cancelled"), "idle"),
    "planning": State(gettext_lazy("planning"), "busy"),
    "planned": State(gettext_lazy("waiting for approval"), "wait"),
    "approved": State(gettext_lazy("approved"), "good"),
    "proving": State(gettext_lazy("proving"), "busy"),
    "stopped": State(gettext_lazy("stopped after failures"), "bad"),
    "spared": State(gettext_lazy("spared"), "idle"),
    "there": State(gettext_lazy("still there"), "bad"),
    "not-known": State(gettext_lazy("not known"), "warn"),
    "not-begun": State(gettext_lazy("not begun"), "idle"),
    "active": State(gettext_lazy("active"), "good"),
    "invited": State(gettext_lazy("invited"), "wait"),
    "invitation-expired": State(gettext_lazy("invitation has expired"), "warn"),
    "no-password": State(gettext_lazy("has no password"), "warn"),
    "expired": State(gettext_lazy("expired"), "idle"),
    "revoked": State(gettext_lazy("revoked"), "idle"),
    "gone": State(gettext_lazy("gone"), "idle"),
    "alive": State(gettext_lazy("alive"), "good"),
    "stalled": State(gettext_lazy("stalled"), "warn"),
    "dead": State(gettext_lazy("dead"), "bad"),
    "superseded": State(gettext_lazy("superseded"), "bad"),
    "completable": State(gettext_lazy("completable"), "warn"),
    "unchecked": State(gettext_lazy("not checked yet"), "idle"),
    "unjudged": State(gettext_lazy("cannot be judged"), "idle"),
}
"""Every state that pages show, by its stored name."""

COPY_LABELS = {
    "CRC-64": gettext_lazy("Copy CRC-64"),
    "access token": gettext_lazy("Copy access token"),
    "ETag": gettext_lazy("Copy ETag"),
    "SHA-256": gettext_lazy("Copy SHA-256"),
    "key": gettext_lazy("Copy key"),
    "request id": gettext_lazy("Copy request id"),
    "link": gettext_lazy("Copy link"),
    "upload id": gettext_lazy("Copy upload id"),
}

NOTICE_ICONS = {"info": "info-circle", "success": "circle-check", "warning": "alert-triangle", "danger": "alert-circle"}


@cache
def _icon_svg(name: str) -> str:
    """The SVG of an icon of the icon package; the name comes from our templates only."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise ValueError(f"{name!r} is no icon name.")
    svg = (settings.ICONS_DIR / "outline" / f"{name}.svg").read_text()
    body = re.sub(r"\s+", " ", svg[svg.index("<svg") :])
    return re.sub(r'class="[^"]*"', 'class="icon" aria-hidden="true" focusable="false"', body, count=1)


@register.simple_tag
def icon(name: str) -> SafeString:
    """An outline icon. Screen readers skip it: the text beside it, or an aria-label, has its meaning."""
    return mark_safe(_icon_svg(name))  # noqa: S308  (a file of the locked icon package)


@register.simple_tag
def static_if_known(path: str) -> str:
    """The URL of a static file; empty if the manifest is missing, so that error pages can be rendered without it."""
    try:
        return static(path)
    except (ValueError, OSError):
        return ""


# --- States and progress ----------------------------------------------------------------------------------------------


@register.simple_tag
def state(name: str) -> SafeString:
    """A state: its text with a coloured dot."""
    shown = STATES.get(str(name))
    return dot(shown.tone, shown.text) if shown else dot("idle", str(name).replace("-", " "))


@register.filter
def state_text(name: str) -> str:
    """The text of a state without its dot."""
    shown = STATES.get(str(name))
    return str(shown.text) if shown else str(name)


@register.simple_tag
def dot(tone: str, text: str, title: str = "") -> SafeString:
    """A text with a coloured dot. Tones: busy, wait, good, warn, bad, idle."""
    return format_html(
        '<span class="state state-{}"{}><span class="state-dot" aria-hidden="true"></span>{}</span>',
        tone,
        format_html(' title="{}"', title) if title else "",
        text,
    )


@register.simple_tag
def progress(value: int, maximum: int, label: str) -> SafeString:
    """A progress bar; an empty file is complete from the start."""
    return format_html(
        '<progress class="bar" value="{}" max="{}" aria-label="{}">{}</progress>',
        value if maximum else 1,
        maximum or 1,
        label,
        percent_text(percent(value, maximum)),
    )


@register.simple_tag
def poll(url: str, seconds: int, hours: int = 1) -> SafeString:
    """The attributes of an element, with an id, that static/polling.js keeps up to date.

    It is requested every so many seconds while it changes, then less often, and after so many hours without a change
    not at all.
    """
    return format_html(
        'hx-get="{}" hx-trigger="poll" hx-swap="outerHTML" data-poll="{}" data-poll-hours="{}"', url, seconds, hours
    )


# --- Pages ------------------------------------------------------------------------------------------------------------


@register.simple_tag(takes_context=True)
def nav_link(
    context: Context, url: str, text: str, icon_name: str, *, exact: bool = False, except_url: str = ""
) -> SafeString:
    """A link of the main navigation, marked as current on its page and, unless `exact`, on the pages below it."""
    path = context["request"].path
    is_current = path == url or (not exact and path.startswith(url) and path != except_url)
    current = SafeString(' aria-current="page"' if is_current else "")
    return format_html('<a href="{}"{}>{}<span>{}</span></a>', url, current, icon(icon_name), text)


@register.simple_tag
def breadcrumb(*steps: str) -> SafeString:
    """A breadcrumb: texts and URLs in turn. The last step is the page itself and has no URL."""
    links = [(steps[place + 1], steps[place]) for place in range(0, len(steps) - 1, 2)]
    return format_html(
        '<nav aria-label="{}"><ol class="breadcrumb">{}{}</ol></nav>',
        _("Breadcrumb"),
        format_html_join("", '<li class="breadcrumb-item"><a href="{}">{}</a></li>', links),
        format_html('<li class="breadcrumb-item active" aria-current="page">{}</li>', steps[-1]),
    )


@register.simple_block_tag
def notice(content: str, tone: str, icon_name: str = "", role: str = "alert", classes: str = "") -> SafeString:
    """A notice: `{% notice "warning" %}...{% endnotice %}`. Tones: info, success, warning, danger."""
    return format_html(
        '<div class="alert alert-{}"{}>{}<div>{}</div></div>',
        f"{tone} {classes}".strip(),
        format_html(' role="{}"', role) if role else "",
        icon(icon_name or NOTICE_ICONS[tone]),
        mark_safe(content),  # noqa: S308  (rendered by the template, which has escaped it)
    )


@register.inclusion_tag("components/empty.html")
def empty(icon_name: str, title: str, text: str = "", link: str = "", link_text: str = "") -> dict[str, str]:
    """What a page shows instead of an empty table."""
    return {"icon_name": icon_name, "title": title, "text": text, "link": link, "link_text": link_text}


@register.inclusion_tag("components/explanation.html", takes_context=True)
def explanation(context: Context, explained: Explanation) -> dict[str, object]:
    """A store's failure: the card for dashboard.shared.explain.explain(error)."""
    is_silent = explained.reason is Reason.STORE_NOT_ANSWERING
    return {"explained": explained, "try_url": try_again_url(context["request"]) if is_silent else ""}


@register.inclusion_tag("components/recorded_error.html")
def recorded_error(error: RecordedError | None) -> dict[str, object]:
    """An error that a transfer, part or item keeps (`.error`): code, text, request id."""
    return {"error": error_json(error)}


@register.inclusion_tag("components/store_health.html")
def store_health(store: Store, *, is_open: bool = False) -> dict[str, object]:
    """The health of a store: its state, since when, the last error, and what to do about it, at once if `is_open`."""
    error = store.shown_error if store.is_failing or store.is_in_doubt else None
    text = REASON_TEXTS[Reason(error.reason)] if error and error.reason in set(Reason) else None
    return {
        "store": store,
        "is_open": is_open,
        "has_doubt": store.is_in_doubt,
        "meaning": text.meaning if text else "",
        "advice": text.advice if text else "",
    }


# --- Tables and facts -------------------------------------------------------------------------------------------------


@register.simple_tag
def caption(text: str) -> SafeString:
    """A table's caption, for screen readers only."""
    return format_html('<caption class="visually-hidden">{}</caption>', text)


@register.simple_tag
def column(text: str, classes: str = "") -> SafeString:
    """The heading of a column."""
    return format_html('<th scope="col"{}>{}</th>', format_html(' class="{}"', classes) if classes else "", text)


@register.simple_tag
def columns(*texts: str) -> SafeString:
    """The headings of several columns."""
    return format_html_join("", "{}", ((column(text),) for text in texts))


@register.simple_block_tag
def fact(content: str, name: str, classes: str = "") -> SafeString:
    """One entry of a `<dl class="facts">`: `{% fact _("Size") %}...{% endfact %}`; class `wide` takes a whole row."""
    return format_html(
        "<div{}><dt>{}</dt><dd>{}</dd></div>",
        format_html(' class="{}"', classes) if classes else "",
        name,
        mark_safe(content),  # noqa: S308  (rendered by the template, which has escaped it)
    )


# --- Controls ---------------------------------------------------------------------------------------------------------


@register.simple_tag
def copy_button(value: str, name: str) -> SafeString:
    """A button that copies `value`; it stays hidden without JavaScript. `name` is one of COPY_LABELS."""
    return format_html(
        '<button type="button" class="btn btn-action btn-copy" data-copy="{}" aria-label="{}" title="{}"'
        " hidden>{}</button>",
        exactly(value),
        COPY_LABELS[name],
        COPY_LABELS[name],
        icon("copy"),
    )


@register.inclusion_tag("components/field.html")
def field(bound: Any, columns: str = "") -> dict[str, Any]:
    """One field of a Django form, with its label, help and errors."""
    return {"field": bound, "columns": columns}


@register.simple_tag(takes_context=True)
def new_transfer_here(context: Context) -> str:
    """The page of a new transfer, with the store, the bucket and the prefix of the page that leads there."""
    request = context.get("request")
    match = getattr(request, "resolver_match", None)
    place = match.kwargs if match else {}
    query = {name: str(place[name]) for name in ("store", "bucket") if name in place}
    if request is not None and "bucket" in query and request.GET.get("prefix"):
        query["prefix"] = request.GET["prefix"]
    return reverse("new-transfer") + (f"?{urlencode(query, quote_via=quote, safe='')}" if query else "")
