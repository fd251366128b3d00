"""The lifecycle rules of a bucket: what they abort, and the forms that change the rule about unfinished uploads.

GET shows the rules, and with `days`, `before` or `keys` (a prefix) the simulation of a rule. POST has an `action`:
`set`, `remove` or `restore`, and in `seen` the digest of the rules that the form was made from.
"""

from __future__ import annotations

import uuid
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
from dashboard.shared.explain import explain
from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.links import BucketLinks
from dashboard.shared.parameters import BadParameter, Query
from dashboard.shared.responses import explains_failures, see_other
from uploads import access
from uploads.domain.lifecycle.comparing import Outcome
from uploads.domain.lifecycle.editing import AbortTerms, remove_abort, set_abort
from uploads.domain.lifecycle.rules import OUR_ID, Configuration, Rule, Since
from uploads.models import LifecycleChange, Store
from uploads.selectors.lifecycle import change_of, changes_of
from uploads.services.lifecycle.changing import ChangedMeanwhile, change_rules, restore_rules
from uploads.services.lifecycle.reading import NotSupported, read_rules
from uploads.services.lifecycle.simulation import Simulation, simulate

SHOWN_CHANGES = 5


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
    form = _form(found, rule, given or None)
    simulation = _simulated(found, bucket, form, rule) if given and form.is_valid() else None
    status = 400 if given and not form.is_valid() else 200
    return _page(request, found, bucket, rules, form=form, rule=rule, simulation=simulation, status=status)


def _change(request: HttpRequest, store: Store, bucket: str) -> HttpResponseBase:
    actions = {"set": _set, "remove": _remove, "restore": _restore}
    action = actions.get(request.POST.get("action", ""))
    if action is None:
        raise BadParameter(_("action must be “set”, “remove” or “restore”."))
    try:
        return action(request, store, bucket, request.POST.get("seen", ""))
    except NotSupported as error:
        return _not_supported(request, store, bucket, error)
    except ChangedMeanwhile as error:
        return _changed_meanwhile(request, store, bucket, error.now)


def _set(request: HttpRequest, store: Store, bucket: str, seen: str) -> HttpResponseBase:
    now = _as_seen(store, bucket, seen)
    rule = _named(now, request.POST.get("rule", ""))
    form = _form(store, rule, request.POST)
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
    change = change_rules(actor, store, bucket, seen=seen, rule_id=rule_id, edit=edit)
    return _ended(request, store, bucket, change)


def _remove(request: HttpRequest, store: Store, bucket: str, seen: str) -> HttpResponseBase:
    digest = request.POST.get("rule", "")
    rule = _aborting(_as_seen(store, bucket, seen), digest)

    def edit(rules: Configuration) -> Configuration:
        return remove_abort(rules, _aborting(rules, digest))

    change = change_rules(access.actor(request.user), store, bucket, seen=seen, rule_id=rule.id, edit=edit)
    return _ended(request, store, bucket, change)


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


def _form(store: Store, rule: Rule | None, data: Any) -> AbortForm:
    by_date = store.config().signature == "oss4"
    return AbortForm(data, by_date=by_date, with_prefix=rule is None, initial={"days": 7})


def _since(store: Store) -> Since:
    """What the days of a rule count from. For OSS's endpoint for S3 it is not documented: the start spares least."""
    return "last-change" if store.config().signature == "oss4" else "start"


def _simulated(store: Store, bucket: str, form: AbortForm, rule: Rule | None) -> Simulation | None:
    terms = form.terms()
    if rule is not None:
        terms = AbortTerms(terms.days, terms.before, rule.prefix)
    return simulate(store, bucket, terms, _since(store), timezone.now())


def _ended(request: HttpRequest, store: Store, bucket: str, change: LifecycleChange) -> HttpResponse:
    outcome = Outcome(change.outcome)
    texts = {
        Outcome.DONE: _("The store has the rules as they were written."),
        Outcome.DROPPED: _("The store accepted the rule and dropped it: it is not among the rules read back."),
        Outcome.OTHERS_CHANGED: _(
            "Other rules of the bucket are not as they were. The rules from before are kept below and can be restored."
        ),
        Outcome.FAILED: _("The store refused the change, or it did not arrive there. The rules are as they were."),
        Outcome.UNKNOWN: _("The outcome is not known: the rules could not be read back yet."),
    }
    if wants_json(request):
        if outcome is Outcome.DONE:
            return JsonResponse({"outcome": outcome.value, "change": str(change.pk)})
        return json_error(change.error_code or "RulesNotChanged", texts[outcome], status=502)
    level = messages.SUCCESS if outcome is Outcome.DONE else messages.ERROR
    messages.add_message(request, level, texts[outcome])
    return see_other(BucketLinks(store.name, bucket).lifecycle)


def _changed_meanwhile(request: HttpRequest, store: Store, bucket: str, now: Configuration) -> HttpResponse:
    text = _("The rules of the bucket were changed in the meantime. Nothing was written. These are the rules now.")
    return _page(request, store, bucket, now, form=_form(store, None, None), problem=text, status=409)


def _not_supported(request: HttpRequest, store: Store, bucket: str, error: NotSupported) -> HttpResponse:
    if wants_json(request):
        return json_error("NotImplemented", _("The store has no lifecycle rules."), status=501)
    context = _place(store, bucket) | {"explained": explain(error.cause)}
    return render(request, "lifecycle/not_supported.html", context)


def _place(store: Store, bucket: str) -> dict[str, Any]:
    return {"store": store, "bucket": bucket, "links": BucketLinks(store.name, bucket)}


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
    status: int = 200,
) -> HttpResponse:
    if wants_json(request):
        if status != 200:
            errors = " ".join(f"{name}: {' '.join(map(str, texts))}" for name, texts in form.errors.items())
            code = "RulesChanged" if status == 409 else "InvalidArgument"
            return json_error(code, problem or errors, status=status)
        return JsonResponse(lifecycle_json(store, bucket, rules, simulation))
    may_change = access.may_change_lifecycle(request.user, store, bucket)
    changes = changes_of(store, bucket)[:SHOWN_CHANGES]
    context = _place(store, bucket) | {
        "rules": rules,
        "form": form,
        "rule": rule,
        "terms": form.terms() if form.is_bound and form.is_valid() else None,
        "simulation": simulation,
        "since": _since(store),
        "problem": problem,
        "may_change": may_change,
        "changes": changes if may_change else [],
        "keeps_rules": store.profile.lifecycle != "none",
    }
    return render(request, "lifecycle/lifecycle.html", context, status=status)
