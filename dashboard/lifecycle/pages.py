"""The lifecycle rules of a bucket: what they abort, and the forms that change the rule about unfinished uploads.

GET shows the rules, and with `days`, `before` or `keys` (a prefix) the simulation of a rule. POST has an `action`:
`set`, `remove` or `restore`, and in `seen` the digest of the rules that the form was made from.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from dashboard.lifecycle.forms import AbortForm
from dashboard.lifecycle.serializers import lifecycle_json
from dashboard.shared.errors import refuse
from dashboard.shared.explain import explain
from dashboard.shared.jsonapi import json_error, store_error, wants_json
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages.lifecycle import OUTCOMES, TONES, WORDS
from dashboard.shared.messages.types import Message
from dashboard.shared.parameters import BadParameter, Query
from dashboard.shared.responses import explains_failures, see_other
from uploads import access
from uploads.domain.lifecycle.comparing import Outcome, marked
from uploads.domain.lifecycle.editing import AbortTerms, remove_abort, set_abort
from uploads.domain.lifecycle.rules import OUR_ID, Configuration, Rule, Since, configuration_of
from uploads.models import LifecycleChange, Store
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.providers import WRITABLE
from uploads.selectors.lifecycle import change_of, changes_of, version_of
from uploads.services.lifecycle.changing import (
    Changed,
    ChangedMeanwhile,
    ChangeInProgress,
    change_rules,
    restore_rules,
)
from uploads.services.lifecycle.reading import NotSupported, document_of_text, read_rules
from uploads.services.lifecycle.simulation import Simulation, simulate

SHOWN_CHANGES = 5
DEFAULT_DAYS = 7


@require_http_methods(["GET", "POST"])
@explains_failures
def lifecycle(request: HttpRequest, store: str, bucket: str) -> HttpResponseBase:
    if request.method == "POST":
        return _change(request, access.store_to_change_lifecycle(request.user, store, bucket), bucket)
    found = access.store_to_see_lifecycle(request.user, store, bucket)
    query = Query(request)
    try:
        rules = read_rules(found, bucket)
    except NotSupported as error:
        return _not_supported(request, found, bucket, error)
    rule = _named(rules, query.text("rule"))
    given = {name: query.text(name) for name in ("days", "before", "keys") if query.text(name)}
    form = _form(found, rules, rule, given or None)
    simulation = _simulated(found, bucket, form, rule) if given and form.is_valid() else None
    status = 400 if given and not form.is_valid() else 200
    return _page(request, found, bucket, rules, form=form, rule=rule, simulation=simulation, status=status)


def _change(request: HttpRequest, store: Store, bucket: str) -> HttpResponseBase:
    actions = {"set": _set, "remove": _remove, "restore": _restore}
    action = actions.get(request.POST.get("action", ""))
    if action is None:
        raise BadParameter(_("action must be “set”, “remove” or “restore”."))
    seen = request.POST.get("seen", "")
    try:
        return action(request, store, bucket, seen)
    except NotSupported as error:
        return _not_supported(request, store, bucket, error)
    except ChangedMeanwhile as error:
        return _changed_meanwhile(request, store, bucket, seen, error.now)
    except ChangeInProgress:
        text = _("Another change of these rules is in progress. Nothing was written. Try again in a moment.")
        back = BucketLinks(store.name, bucket).lifecycle
        return refuse(request, 409, _("Nothing was changed"), text, code="ChangeInProgress", back=back)


def _set(request: HttpRequest, store: Store, bucket: str, seen: str) -> HttpResponseBase:
    now = _as_seen(store, bucket, seen)
    rule = _named(now, request.POST.get("rule", ""))
    form = _form(store, now, rule, request.POST)
    if not form.is_valid():
        return _page(request, store, bucket, now, form=form, rule=rule, status=400)
    simulation = _simulated(store, bucket, form, rule)
    if simulation and simulation.warns and request.POST.get("confirm") != "on":
        text = _("The rule would abort uploads that are alive. Confirm that, or choose other days.")
        return _page(request, store, bucket, now, form=form, rule=rule, simulation=simulation, problem=text, status=400)

    def edit(rules: Configuration) -> Configuration:
        target = rules.by_digest(rule.digest) if rule else None
        return set_abort(rules, store.config().signature, form.terms(), target)

    actor, rule_id = access.actor(request.user), rule.id if rule else OUR_ID
    changed = change_rules(actor, store, bucket, seen=seen, rule_id=rule_id, edit=edit)
    return _ended(request, store, bucket, changed)


def _remove(request: HttpRequest, store: Store, bucket: str, seen: str) -> HttpResponseBase:
    digest = request.POST.get("rule", "")
    rule = _aborting(_as_seen(store, bucket, seen), digest)

    def edit(rules: Configuration) -> Configuration:
        return remove_abort(rules, _aborting(rules, digest))

    changed = change_rules(access.actor(request.user), store, bucket, seen=seen, rule_id=rule.id, edit=edit)
    return _ended(request, store, bucket, changed)


def _restore(request: HttpRequest, store: Store, bucket: str, seen: str) -> HttpResponseBase:
    problem = BadParameter(_("change must be the id of a change of this bucket."))
    try:
        name = uuid.UUID(request.POST.get("change", ""))
    except ValueError:
        raise problem from None
    earlier = change_of(store, bucket, name)
    if earlier is None:
        raise problem
    return _ended(request, store, bucket, restore_rules(access.actor(request.user), earlier, seen=seen))


def _as_seen(store: Store, bucket: str, seen: str) -> Configuration:
    rules = read_rules(store, bucket)
    if rules.digest != seen:
        raise ChangedMeanwhile(rules)
    return rules


def _aborting(rules: Configuration, digest: str) -> Rule:
    rule = rules.by_digest(digest)
    if rule is None or rule.abort is None:
        raise BadParameter(_("rule must name a rule of this bucket that aborts unfinished uploads."))
    return rule


def _named(rules: Configuration, digest: str) -> Rule | None:
    """The rule of somebody else that is to be changed; None for ours."""
    rule = _aborting(rules, digest) if digest else None
    return None if rule is None or rule.is_ours else rule


def _form(
    store: Store, rules: Configuration, rule: Rule | None, data: Any, entered: Mapping[str, str] | None = None
) -> AbortForm:
    """The form with what the rule says now, or with what was `entered`."""
    current = rule or rules.ours
    initial: dict[str, Any] = {"days": DEFAULT_DAYS}
    if current is not None and current.abort is not None:
        before = current.abort.before
        initial = {"days": current.abort.days, "before": before and before.date(), "keys": current.prefix}
    by_date = store.config().signature == "oss4"
    return AbortForm(data, by_date=by_date, with_prefix=rule is None, initial=initial | dict(entered or {}))


def _since(store: Store) -> Since:
    """What the days of a rule count from. For OSS's endpoint for S3 it is not documented: the start spares least."""
    return "last-change" if store.config().signature == "oss4" else "start"


def _simulated(store: Store, bucket: str, form: AbortForm, rule: Rule | None) -> Simulation | None:
    terms = form.terms()
    if rule is not None:
        terms = AbortTerms(terms.days, terms.before, rule.prefix)
    return simulate(store, bucket, terms, _since(store), timezone.now())


def _ended(request: HttpRequest, store: Store, bucket: str, changed: Changed) -> HttpResponse:
    """What became of a change: back to the page, or if it failed, the page with the store's error."""
    outcome, failure = changed.outcome, changed.failure
    text = str(OUTCOMES[outcome])
    if failure is not None and outcome is not Outcome.DONE:
        if wants_json(request):
            return store_error(failure)
        rules, form = changed.before, _form(store, changed.before, None, None)
        return _page(request, store, bucket, rules, form=form, problem=text, failure=failure, status=502)
    if wants_json(request):
        if outcome is Outcome.DONE:
            return JsonResponse({"outcome": outcome.value, "change": str(changed.change.pk)})
        return json_error("RulesNotKept", text, status=502)
    messages.add_message(request, messages.SUCCESS if outcome is Outcome.DONE else messages.ERROR, text)
    return see_other(BucketLinks(store.name, bucket).lifecycle)


def _changed_meanwhile(request: HttpRequest, store: Store, bucket: str, seen: str, now: Configuration) -> HttpResponse:
    """Both versions in words: what the form was made from, if it is still kept, and what the bucket has now."""
    text = _("The rules of the bucket were changed in the meantime. Nothing was written.")
    kept = version_of(store, bucket, seen)
    earlier = configuration_of(document_of_text(kept.text, kept.size_rule)) if kept else None
    versions: dict[str, Any] = {"now": marked(now, earlier) if earlier else [(rule, False) for rule in now.rules]}
    if earlier is not None:
        versions |= {"seen": marked(earlier, now), "kept": kept}
    entered = {name: request.POST[name] for name in ("days", "before", "keys") if name in request.POST}
    form = _form(store, now, None, None, entered)
    return _page(request, store, bucket, now, form=form, problem=text, versions=versions, status=409)


def _not_supported(request: HttpRequest, store: Store, bucket: str, error: NotSupported) -> HttpResponse:
    if wants_json(request):
        return json_error("NotImplemented", _("The store has no lifecycle rules."), status=501)
    context = _place(store, bucket) | {"explained": explain(error.cause)}
    return render(request, "lifecycle/not_supported.html", context)


def _place(store: Store, bucket: str) -> dict[str, Any]:
    return {"store": store, "bucket": bucket, "links": BucketLinks(store.name, bucket)}


def _change_row(change: LifecycleChange) -> tuple[LifecycleChange, Message, Message, str]:
    outcome = Outcome(change.outcome)
    return change, WORDS[outcome], OUTCOMES[outcome], TONES[outcome]


def _page(
    request: HttpRequest,
    store: Store,
    bucket: str,
    rules: Configuration,
    *,
    form: AbortForm,
    rule: Rule | None = None,
    simulation: Simulation | None = None,
    problem: str = "",
    versions: dict[str, Any] | None = None,
    failure: ObjectStoreError | None = None,
    status: int = 200,
) -> HttpResponse:
    if wants_json(request):
        if status != 200:
            errors = " ".join(f"{name}: {' '.join(map(str, texts))}" for name, texts in form.errors.items())
            code = "RulesChanged" if status == 409 else "InvalidArgument"
            return json_error(code, problem or errors, status=status)
        return JsonResponse(lifecycle_json(store, bucket, rules, simulation))
    may_change = access.may_change_lifecycle(request.user, store, bucket)
    changes = changes_of(store, bucket)[:SHOWN_CHANGES] if may_change else []
    context = _place(store, bucket) | {
        "rules": rules,
        "form": form,
        "rule": rule,
        "terms": form.terms() if form.is_bound and form.is_valid() else None,
        "simulation": simulation,
        "since": _since(store),
        "problem": problem,
        "versions": versions,
        "explained": explain(failure) if failure else None,
        "may_change": may_change and store.profile.lifecycle in WRITABLE,
        "is_administrator": may_change,
        "changes": [_change_row(each) for each in changes],
        "kind": store.profile.lifecycle,
        "is_override": "lifecycle" in store.overrides,
    }
    return render(request, "lifecycle/lifecycle.html", context, status=status)
