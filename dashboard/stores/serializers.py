"""Stores with their health, and their checks, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.urls import reverse

from dashboard.shared import jsonapi
from dashboard.shared.messages import error_json
from dashboard.shared.messages.check_results import leftover_text, result_advice, result_text, result_title
from uploads.models import Store, StoreCheck
from uploads.objectstore.probing.created import Leftover
from uploads.objectstore.probing.results import CheckResult, read_results


def store_json(store: Store, *, with_endpoint: bool) -> dict[str, Any]:
    """A store and its health; never its credentials."""
    endpoint = {"endpoint": store.endpoint_url} if with_endpoint else {}
    return {
        "store": store.name,
        "url": reverse("store", args=[store.name]),
        **endpoint,
        "region": store.region,
        "provider": store.provider,
        "enabled": store.enabled,
        "health": {
            "state": store.shown_health.value,
            "since": jsonapi.iso(store.shown_health_since),
            "confirmed": jsonapi.iso(store.heard_at),
            "error": error_json(store.shown_error),
        },
    }


def check_json(check: StoreCheck) -> dict[str, Any]:
    """The same facts as the card of the check."""
    return {
        "id": str(check.pk),
        "url": reverse("store-check", args=[check.store.name, check.pk]),
        "store": check.store.name,
        "Bucket": check.bucket,
        "actor": check.actor.get_username() if check.actor else None,
        "state": check.state,
        "created": jsonapi.iso(check.created_at),
        "finished": jsonapi.iso(check.finished_at),
        "checks": {"count": check.total, "done": len(check.results)},
        "requests": check.requests,
        "provider": check.provider,
        "found": check.overrides,
        "results": [_result_json(result) for result in read_results(check.results)],
        "leftovers": [_leftover_json(fields) for fields in check.leftovers],
        "error": error_json(check.error),
    }


def checks_json(store: Store, checks: Iterable[StoreCheck]) -> dict[str, Any]:
    return {
        "store": store.name,
        "provider": store.provider,
        "found": store.overrides,
        "checks": [check_json(each) for each in checks],
    }


def checks_list_json(checks: Iterable[StoreCheck]) -> dict[str, Any]:
    """Checks without their results, which their own URLs have."""
    shown = ("id", "url", "store", "Bucket", "actor", "state", "created", "finished", "checks")
    return {"checks": [{name: value for name, value in check_json(each).items() if name in shown} for each in checks]}


def _result_json(result: CheckResult) -> dict[str, Any]:
    """A result with its texts; what it does not have is left out."""
    shown = {
        "name": result.name,
        "title": result_title(result),
        "group": result.group.value,
        "verdict": result.verdict.value,
        "said": result_text(result),
        "advice": result_advice(result),
        "flag": list(result.flag) if result.flag else None,
        "code": result.code,
        "request_id": result.request_id,
    }
    return {name: value for name, value in shown.items() if value not in ("", None)}


def _leftover_json(fields: Mapping[str, Any]) -> dict[str, str]:
    left = Leftover.from_json(fields)
    return {"kind": left.kind, "key": left.key, "id": left.id, "why": leftover_text(left)}
