"""Sending a delivery to a webhook: signed, bounded in time and size, to allowed addresses only, without redirects."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import requests
from django.utils import timezone

from uploads.models import AlertDelivery
from uploads.models.fields import opened
from uploads.models.store_limits import address_rules
from uploads.objectstore.budget import Budget, limited_to
from uploads.objectstore.connections import PatientAdapter
from uploads.objectstore.endpoints import origin
from uploads.redaction import hiding
from uploads.services.alerts.words import words_of

CONNECT_SECONDS = 5.0
SECONDS = 15.0
"""For the whole request. Of the response, only the status is read."""

SIGNATURE, TIMESTAMP, DELIVERY = "Partway-Signature", "Partway-Timestamp", "Partway-Delivery"


def check_address(url: str) -> None:
    """Raise AddressRefusedError for an address that no webhook may have. A name is checked when it is resolved."""
    _scheme, host, port = origin(url)
    address_rules().check_literal(host, port or 0)


def body_of(delivery: AlertDelivery) -> dict[str, Any]:
    """The body, as docs/alerts.md describes it. Numbers are strings, so that no digit is lost."""
    rule, alert = delivery.rule, delivery.alert
    return {
        "id": str(delivery.pk),
        "event": delivery.event,
        "alert": str(alert.pk) if alert else None,
        "rule": rule.name,
        "what": rule.what,
        "store": rule.store.name if rule.store else None,
        "bucket": rule.bucket or None,
        "verdict": rule.verdict or None,
        "threshold": f"{rule.threshold.normalize():f}",
        "currency": rule.currency or None,
        "value": f"{alert.value.normalize():f}" if alert else None,
        "started_at": _iso(alert.started_at) if alert else None,
        "ended_at": _iso(alert.ended_at) if alert and alert.ended_at else None,
        "text": words_of(delivery).subject,
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def signature_of(secret: str, timestamp: str, body: bytes) -> str:
    """The HMAC-SHA256 of the timestamp, a full stop and the body."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def headers_of(delivery: AlertDelivery, body: bytes) -> Mapping[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "Partway", DELIVERY: str(delivery.pk)}
    secret = opened(delivery.rule.webhook_secret)
    if secret:
        timestamp = str(int(timezone.now().timestamp()))
        headers |= {TIMESTAMP: timestamp, SIGNATURE: signature_of(secret, timestamp, body)}
    return headers


def post(delivery: AlertDelivery) -> int:
    """The status of the response. Raises requests.RequestException, OSError or SecretUnreadable."""
    url = opened(delivery.rule.webhook_url)
    body = json.dumps(body_of(delivery), ensure_ascii=False).encode()
    budget = Budget(SECONDS)
    with requests.Session() as session, limited_to(budget), budget.spending():
        session.trust_env = False
        request = session.prepare_request(
            requests.Request("POST", url, data=body, headers=dict(headers_of(delivery, body)))
        )
        for scheme in ("https://", "http://"):
            session.mount(scheme, PatientAdapter(SECONDS, address_rules()))
        timeout = (CONNECT_SECONDS, SECONDS)
        with (
            hiding(request.path_url),
            session.send(request, timeout=timeout, allow_redirects=False, stream=True) as response,
        ):
            return response.status_code
