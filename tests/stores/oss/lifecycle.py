"""PutBucketLifecycle, GetBucketLifecycle, DeleteBucketLifecycle: the rules of a bucket, which never run.

The document is kept as it was sent, and a rule without an id gets one.
"""

from __future__ import annotations

import secrets
from xml.etree import ElementTree as ET

from tests.stores.oss import bodies, errors
from tests.stores.oss.request import Request
from tests.stores.oss.responses import Response
from tests.stores.oss.state import State

MAX_RULES = 1000
_TERMS = {"Days", "CreatedBeforeDate"}


def put(state: State, request: Request) -> Response:
    bucket = state.bucket(request.bucket, request.host.region)
    text = bodies.read(request.body, request.headers)
    root = _parsed(text)
    overlaps = request.header("x-oss-allow-same-action-overlap") == "true"
    rules = list(root)
    if root.tag != "LifecycleConfiguration" or not 1 <= len(rules) <= MAX_RULES:
        raise errors.bad_xml()
    ids = [each for each in (rule.findtext("ID") for rule in rules) if each]
    if any(rule.tag != "Rule" for rule in rules) or len(ids) != len(set(ids)):
        raise errors.bad_xml()
    for rule in rules:
        _check(rule)
    if not overlaps:
        _refuse_overlaps(rules)
    for rule in rules:
        if not rule.findtext("ID"):
            ET.SubElement(rule, "ID").text = secrets.token_hex(16)
    with state.lock:
        bucket.lifecycle = b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root)
    return Response(200)


def get(state: State, request: Request) -> Response:
    bucket = state.bucket(request.bucket, request.host.region)
    if bucket.lifecycle is None:
        raise errors.no_lifecycle(request.bucket)
    return Response(200, {"Content-Type": "application/xml"}, bucket.lifecycle)


def delete(state: State, request: Request) -> Response:
    state.bucket(request.bucket, request.host.region).lifecycle = None
    return Response(204)


def _parsed(text: bytes) -> ET.Element:
    try:
        return ET.fromstring(text)
    except ET.ParseError:
        raise errors.bad_xml() from None


def _check(rule: ET.Element) -> None:
    if (rule.findtext("Status") or "") not in ("Enabled", "Disabled"):
        raise errors.bad_xml()
    for abort in rule.findall("AbortMultipartUpload"):
        terms = [child.tag for child in abort]
        if len(terms) != 1 or terms[0] not in _TERMS:
            raise errors.bad_xml()
        days = abort.findtext("Days")
        if days is not None and not (days.isdigit() and int(days) >= 1):
            raise errors.bad_xml()


def _refuse_overlaps(rules: list[ET.Element]) -> None:
    """Two rules that abort must not have overlapping prefixes, unless the request allows it."""
    prefixes = [rule.findtext("Prefix") or "" for rule in rules if rule.find("AbortMultipartUpload") is not None]
    for place, one in enumerate(prefixes):
        if any(one.startswith(other) or other.startswith(one) for other in prefixes[place + 1 :]):
            raise errors.bad_argument("Prefix", one, "Overlap for same action type AbortMultipartUpload")
