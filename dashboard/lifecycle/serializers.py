"""The JSON of the lifecycle rules of a bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.shared.jsonapi import iso
from dashboard.shared.messages import error_json
from uploads.domain.lifecycle.rules import Configuration, Rule
from uploads.models import Store
from uploads.selectors.lifecycle import BucketRules, Known
from uploads.services.lifecycle.simulation import Simulation


def lifecycle_json(store: Store, bucket: str, rules: Configuration, simulation: Simulation | None) -> dict[str, Any]:
    return {
        "Store": store.name,
        "Bucket": bucket,
        "digest": rules.digest,
        "Rules": [_rule_json(rule) for rule in rules.rules],
        "simulation": _simulation_json(simulation) if simulation else None,
    }


def _rule_json(rule: Rule) -> dict[str, Any]:
    abort = rule.abort
    return {
        "ID": rule.id,
        "digest": rule.digest,
        "enabled": rule.is_enabled,
        "Prefix": rule.prefix,
        "conditions": [[each.name, each.value] for each in rule.conditions],
        "abort": {"since": abort.since, "days": abort.days, "before": iso(abort.before)} if abort else None,
        "xml": rule.xml,
    }


def _simulation_json(simulation: Simulation) -> dict[str, Any]:
    return {
        "uploads": simulation.uploads,
        "bytes": simulation.bytes,
        "bytes_known_of": simulation.checked,
        "alive": simulation.alive,
        "unjudged": simulation.unjudged,
        "listed_at": iso(simulation.listed_at),
    }


def buckets_json(rows: Sequence[BucketRules], counts: Mapping[Known, int], cursor: str) -> dict[str, Any]:
    return {
        "buckets": [_bucket_json(each) for each in rows],
        "counts": {known.value: counts.get(known, 0) for known in Known},
        "next": cursor or None,
    }


def _bucket_json(each: BucketRules) -> dict[str, Any]:
    state = each.state
    return {
        "Store": state.store.name,
        "Bucket": state.bucket,
        "rule": each.known.value,
        "rules": state.rules,
        "uploads": each.uploads,
        "bytes": each.bytes,
        "read_at": iso(state.read_at),
        "error": error_json(state.error),
    }
