"""Alerts: sent once at the start and once at the end, repeated after failures, and not in silence."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.services.alerts.receivers import ENDLESS, LOST, MALFORMED, SLOW, Webhook, mail_server, webhook
from uploads.domain.alerts import (
    MASK,
    MAX_DELIVERIES,
    Measured,
    Quiet,
    What,
    growth_per_day,
    holds,
    masked_address,
    wait_after,
    with_sample,
)
from uploads.domain.cost import GIB
from uploads.domain.states import ItemState
from uploads.logs import Lines
from uploads.models import (
    Alert,
    AlertDelivery,
    AlertRule,
    AuditEntry,
    InventoryBucket,
    InventorySettings,
    InventorySum,
    Scan,
    Store,
)
from uploads.problems import Code, Problem
from uploads.services.alerts import webhooks
from uploads.services.alerts.deliver import DELIVERIES, deliver_alert
from uploads.services.alerts.evaluating import evaluate, evaluate_alerts
from uploads.services.alerts.rules import RuleRefused, RuleValues, facts, save_rule, send_test, silence
from uploads.services.stores.prices import PriceValues, set_prices
from uploads.services.upkeep.retention import DELIVERIES_KEPT, delete_old_rows
from uploads.services.work import leases

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def store(db: None) -> Store:
    return Store.objects.create(
        name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b", provider="aws", region="us-east-1"
    )


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


def set_sum(store: Store, size: int, *, checked: int = 5, **bucket: Any) -> None:
    row, _ = InventoryBucket.objects.update_or_create(store=store, name="b", defaults={"listed_at": NOW, **bucket})
    InventorySum.objects.update_or_create(
        bucket=row, verdict="dead", storage_class="", defaults={"uploads": 5, "checked": checked, "bytes": size}
    )


def make_rule(hook: Webhook | None = None, what: What = What.BYTES, **more: Any) -> AlertRule:
    values: dict[str, Any] = {"name": "hidden", "what": what, "threshold": Decimal(100), **more}
    if hook is not None:
        values |= {"webhook_url": hook.url, "webhook_secret": "a secret"}
    return save_rule(None, RuleValues(**values))


def deliver_all() -> None:
    """What workers do, without waiting for retries to be due."""
    AlertDelivery.objects.filter(state=ItemState.ORDERED).update(not_before=None)
    for pk in AlertDelivery.objects.filter(state=ItemState.ORDERED).order_by("created_at").values_list("pk", flat=True):
        deliver_alert(pk)


def test_start_and_end_are_sent_once_and_signed(store: Store, hook: Webhook) -> None:
    rule = make_rule(hook, store=store)
    for size in (50, 200, 300, 250, 100, 90):
        set_sum(store, size)
        for _ in range(2):
            evaluate(rule.pk, NOW)
            deliver_all()
    bodies = [json.loads(body) for _, body in hook.received]
    assert [(each["event"], each["value"], each["threshold"]) for each in bodies] == [
        ("start", "200", "100"),
        ("end", "200", "100"),
    ]
    assert bodies[0]["alert"] == bodies[1]["alert"] == str(Alert.objects.get().pk)
    assert bodies[0]["text"] == "[Partway] Alert: hidden is at 200 bytes"
    for headers, body in hook.received:
        signed = headers["Partway-Timestamp"].encode() + b"." + body
        expected = hmac.new(b"a secret", signed, hashlib.sha256).hexdigest()
        assert headers["Partway-Signature"] == f"sha256={expected}"
        assert headers["Partway-Delivery"] == json.loads(body)["id"]


def test_incomplete_sum_starts_an_alert_but_ends_none(store: Store) -> None:
    rule = make_rule(store=store)
    set_sum(store, 200, checked=1)
    evaluate(rule.pk, NOW)
    assert rule.alerts.filter(ended_at=None).count() == 1
    set_sum(store, 10, checked=1)
    evaluate(rule.pk, NOW)
    assert rule.alerts.filter(ended_at=None).count() == 1
    set_sum(store, 10)
    evaluate(rule.pk, NOW)
    assert rule.alerts.filter(ended_at=None).count() == 0


@pytest.mark.parametrize("what", list(What))
def test_without_a_scan_nothing_starts_or_ends(store: Store, what: What) -> None:
    rule = make_rule(what=what, threshold=Decimal(0), currency="USD")
    evaluate(rule.pk, NOW)
    assert not Alert.objects.exists()
    Alert.objects.create(rule=rule, value=1, started_at=NOW)
    evaluate(rule.pk, NOW)
    assert Alert.objects.get().ended_at is None


def test_cost_uploads_growth_and_scans(store: Store) -> None:
    set_sum(store, 1000 * GIB)
    cost = make_rule(name="cost", what=What.COST, threshold=Decimal(22), currency="USD")
    uploads = make_rule(name="uploads", what=What.UPLOADS, threshold=Decimal(4), verdict="dead")
    others = make_rule(name="others", what=What.UPLOADS, threshold=Decimal(4), verdict="alive")
    growth = make_rule(name="growth", what=What.GROWTH, threshold=Decimal(GIB))
    failed = make_rule(name="overdue", what=What.SCAN_OVERDUE, threshold=Decimal(24))
    for days in (0, 2):
        now = NOW + timedelta(days=days)
        for rule in (cost, uploads, others, growth, failed):
            evaluate(rule.pk, now)
        set_sum(store, 1004 * GIB)
    found = dict(Alert.objects.values_list("rule__name", "value"))
    assert found == {"cost": 23, "uploads": 5, "growth": 2 * GIB, "overdue": 48}


def test_failures_are_repeated_with_the_same_id_until_accepted(store: Store, hook: Webhook) -> None:
    hook.statuses = [500, 302]
    rule = make_rule(hook, store=store)
    set_sum(store, 200)
    evaluate(rule.pk, NOW)
    for status in (500, 302):
        before = timezone.now()
        deliver_all()
        row = AlertDelivery.objects.get()
        assert (row.state, row.status, row.error_code) == (ItemState.ORDERED, status, Code.WEBHOOK_REFUSED)
        assert row.not_before is not None
        assert row.not_before >= before + timedelta(seconds=wait_after(row.attempts) or 0)
    deliver_all()
    deliver_all()
    assert len({headers["Partway-Delivery"] for headers, _ in hook.received}) == 1
    assert len(hook.received) == 3, "a redirect is not followed"
    assert AlertDelivery.objects.values_list("state", "status", "attempts").get() == (ItemState.DONE, 200, 3)


def test_delivery_is_given_up_after_its_last_attempt(store: Store, hook: Webhook) -> None:
    hook.statuses = [503] * 99
    send_test(None, make_rule(hook))
    AlertDelivery.objects.update(attempts=MAX_DELIVERIES - 1)
    deliver_all()
    deliver_all()
    assert AlertDelivery.objects.values_list("state", "attempts").get() == (ItemState.FAILED, MAX_DELIVERIES)


def test_killed_worker_sends_again_with_the_same_id(store: Store, hook: Webhook) -> None:
    """It died after the webhook had accepted the alert, and before that was written."""
    rule = make_rule(hook, store=store)
    set_sum(store, 200)
    evaluate(rule.pk, NOW)
    row = AlertDelivery.objects.get()
    lease = leases.take(DELIVERIES, AlertDelivery.objects.all(), row.pk)
    assert lease is not None
    from uploads.services.alerts.deliver import send

    send(lease.load().row)
    AlertDelivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    expired = leases.take_over(DELIVERIES, row.pk)
    assert expired is not None
    DELIVERIES.worker_lost(expired)
    deliver_all()
    assert Alert.objects.count() == 1
    assert [headers["Partway-Delivery"] for headers, _ in hook.received] == [str(row.pk)] * 2


def test_unknown_value_is_named_and_ends_nothing(store: Store) -> None:
    set_sum(store, 1000 * GIB)
    rule = make_rule(what=What.COST, threshold=Decimal(22), currency="EUR")

    def evaluated() -> tuple[str, int]:
        evaluate(rule.pk, NOW)
        rule.refresh_from_db()
        return rule.error_code, Alert.objects.filter(ended_at=None).count()

    def price(amount: int, currency: str = "EUR", storage_class: str = "STANDARD") -> None:
        set_prices(None, store, [PriceValues(storage_class, Decimal(amount), currency)])

    assert evaluated() == (Code.ALERT_IN_OTHER_CURRENCIES, 0), "the published price is in USD"
    assert rule.error_params == {"currency": "EUR", "others": ["USD"]}
    price(1)
    assert evaluated() == ("", 1)
    set_prices(None, store, [])
    assert evaluated() == (Code.ALERT_IN_OTHER_CURRENCIES, 1)
    store.provider = "ceph"
    store.save()
    assert evaluated() == (Code.ALERT_WITHOUT_PRICE, 1)
    assert rule.error_params == {"currency": "EUR", "unpriced_bytes": 1000 * GIB}
    InventoryBucket.objects.update(error_code="AccessDenied")
    price(0)
    assert evaluated() == (Code.ALERT_BUCKETS_NOT_LISTED, 1)
    InventoryBucket.objects.update(error_code="")
    set_sum(store, 1000 * GIB, checked=3)
    assert evaluated() == (Code.ALERT_BYTES_NOT_KNOWN, 1)
    store.enabled = False
    store.save()
    make_rule(name="other", store=store)
    evaluate(AlertRule.objects.get(name="other").pk, NOW)
    assert AlertRule.objects.get(name="other").error_code == Code.ALERT_STORE_DISABLED
    assert evaluated() == (Code.ALERT_NOTHING_SCANNED, 1)
    store.enabled = True
    store.save()
    set_sum(store, 1000 * GIB)
    assert evaluated() == ("", 0)


def test_growth_needs_two_days(store: Store) -> None:
    rule = make_rule(what=What.GROWTH)
    set_sum(store, 1000)
    evaluate(rule.pk, NOW)
    assert AlertRule.objects.get().error_code == Code.ALERT_NEEDS_TWO_DAYS
    evaluate(rule.pk, NOW + timedelta(days=1))
    assert AlertRule.objects.get().error_code == ""


def test_growth_of_one_bucket_is_not_that_of_another(store: Store) -> None:
    rules = [make_rule(name=name, what=What.GROWTH, store=store, bucket=name) for name in ("b", "other")]
    for day, size in enumerate((0, 500)):
        set_sum(store, size)
        bucket, _ = InventoryBucket.objects.get_or_create(store=store, name="other", defaults={"listed_at": NOW})
        InventorySum.objects.update_or_create(bucket=bucket, verdict="dead", defaults={"bytes": 50})
        for rule in rules:
            evaluate(rule.pk, NOW + timedelta(days=day))
    assert [(each.rule.name, each.value) for each in Alert.objects.select_related("rule")] == [("b", Decimal(500))]


def test_internal_error_at_one_rule_is_shown_and_stops_no_other(store: Store) -> None:
    set_sum(store, 200)
    broken, other = make_rule(name="broken"), make_rule(name="other")
    AlertRule.objects.filter(pk=broken.pk).update(what="later")
    evaluate_alerts(NOW)
    broken.refresh_from_db()
    assert broken.error_code == Code.INTERNAL_ERROR
    assert [each.rule_id for each in Alert.objects.all()] == [other.pk]


def test_killed_process_starts_the_alert_once(store: Store, hook: Webhook) -> None:
    """It died before its transaction, and then after it, before the queue had the delivery."""
    rule = make_rule(hook, store=store)
    set_sum(store, 200)
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        evaluate(rule.pk, NOW)
        raise KeyboardInterrupt
    assert not Alert.objects.exists()
    assert not AlertDelivery.objects.exists()
    evaluate(rule.pk, NOW)
    AlertDelivery.objects.update(queued_at=None)
    assert DELIVERIES.dispatch_due is not None
    assert [DELIVERIES.dispatch_due(10), DELIVERIES.dispatch_due(10)] == [1, 0]
    evaluate(rule.pk, NOW)
    deliver_all()
    assert [json.loads(body)["event"] for _, body in hook.received] == ["start"]


def test_lost_response_is_sent_again_with_the_same_id(store: Store, hook: Webhook) -> None:
    hook.statuses = [LOST]
    send_test(None, make_rule(hook))
    deliver_all()
    assert AlertDelivery.objects.values_list("state", "error_code", "status").get() == (
        ItemState.ORDERED,
        Code.WEBHOOK_UNREACHABLE,
        None,
    )
    deliver_all()
    deliver_all()
    assert len(hook.received) == 2
    assert hook.received[0][1] == hook.received[1][1]
    assert len({headers["Partway-Delivery"] for headers, _ in hook.received}) == 1


def test_end_never_arrives_before_the_start(store: Store, hook: Webhook) -> None:
    hook.statuses = [500]
    rule = make_rule(hook, store=store)
    for size in (200, 50):
        set_sum(store, size)
        evaluate(rule.pk, NOW)
    start, end = (AlertDelivery.objects.get(event=event) for event in ("start", "end"))
    deliver_alert(start.pk)
    deliver_alert(end.pk)
    end.refresh_from_db()
    assert (end.state, end.attempts) == (ItemState.ORDERED, 0)
    assert end.not_before is not None
    deliver_all()
    deliver_all()
    assert [json.loads(body)["event"] for _, body in hook.received] == ["start", "start", "end"]


def test_silence_holds_what_is_repeated_back_but_no_test(store: Store, hook: Webhook) -> None:
    rule = make_rule(hook, store=store)
    set_sum(store, 200)
    evaluate(rule.pk, NOW)
    silence(None, rule, timezone.now() + timedelta(hours=1))
    deliver_all()
    assert hook.received == []
    send_test(None, rule)
    deliver_all()
    assert [json.loads(body)["event"] for _, body in hook.received] == ["test"]
    silence(None, rule, None)
    deliver_all()
    assert [json.loads(body)["event"] for _, body in hook.received] == ["test", "start"]


def test_what_has_no_address_or_no_rule_any_more_is_given_up(store: Store, hook: Webhook) -> None:
    set_sum(store, 200)
    moved = make_rule(hook, emails=("ops@example.org",))
    disabled = make_rule(hook, name="disabled")
    for rule in (moved, disabled):
        evaluate(rule.pk, NOW)
    save_rule(None, RuleValues("hidden", What.BYTES, Decimal(100), emails=()), moved)
    save_rule(None, RuleValues("disabled", What.BYTES, Decimal(100), webhook_url=hook.url, enabled=False), disabled)
    deliver_all()
    assert hook.received == []
    found = AlertDelivery.objects.order_by("-rule__name", "channel").values_list(
        "rule__name", "channel", "state", "error_code"
    )
    assert list(found) == [
        ("hidden", "email", ItemState.FAILED, Code.ALERT_WITHOUT_CHANNEL),
        ("hidden", "webhook", ItemState.FAILED, Code.ALERT_WITHOUT_CHANNEL),
        ("disabled", "webhook", ItemState.FAILED, Code.ALERT_RULE_DISABLED),
    ]


def test_only_the_head_of_a_response_is_read_and_not_for_long(
    store: Store, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.statuses = [ENDLESS, SLOW]
    send_test(None, make_rule(hook))
    deliver_all()
    assert AlertDelivery.objects.values_list("state", "status").get() == (ItemState.DONE, 200)
    assert hook.bytes_sent < 64 * 1024**2
    monkeypatch.setattr(webhooks, "SECONDS", 0.3)
    AlertDelivery.objects.all().delete()
    send_test(None, AlertRule.objects.get())
    deliver_all()
    assert AlertDelivery.objects.values_list("state", "error_code").get() == (
        ItemState.ORDERED,
        Code.WEBHOOK_UNREACHABLE,
    )


def test_neither_the_secret_nor_the_address_is_logged(
    store: Store, hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    caplog.set_level("DEBUG", "uploads")
    hook.statuses = [500, LOST]
    rule = make_rule(hook)
    send_test(None, rule)
    for _ in range(3):
        deliver_all()
    assert len(hook.received) == 3
    written = caplog.text + str([vars(each) for each in caplog.records])
    assert "WebhookRefused" in written
    assert "a secret" not in written
    assert "/hook/" not in written


def test_packages_do_not_log_the_address_either(store: Store, hook: Webhook) -> None:
    """urllib3 logs the address of a response whose head is malformed, and at DEBUG the path of every request."""
    written = StringIO()
    handler, root = logging.StreamHandler(written), logging.getLogger()
    handler.setFormatter(Lines("%(levelname)s %(name)s %(message)s"))
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        hook.statuses = [MALFORMED]
        send_test(None, make_rule(hook))
        deliver_all()
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
    assert AlertDelivery.objects.get().state == ItemState.DONE
    assert "Failed to parse headers" in written.getvalue()
    assert '"POST ******** HTTP/1.1" 200' in written.getvalue()
    assert "/hook/" not in written.getvalue()


def test_address_is_stored_encrypted_kept_and_removed(store: Store, hook: Webhook, settings: Any) -> None:
    rule = make_rule(hook)
    with connection.cursor() as cursor:
        cursor.execute("SELECT webhook_url FROM uploads_alertrule")
        assert "127.0.0.1" not in cursor.fetchone()[0]
    assert hook.url not in serializers.serialize("json", [rule])
    save_rule(None, RuleValues("hidden", What.BYTES, Decimal(100), webhook_url=None), rule)
    send_test(None, rule)
    deliver_all()
    assert len(hook.received) == 1
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode()]
    send_test(None, AlertRule.objects.get())
    deliver_all()
    assert AlertDelivery.objects.filter(error_code=Code.ALERT_SECRET_UNREADABLE).count() == 1
    assert facts(AlertRule.objects.get())["webhook"] == MASK
    save_rule(None, RuleValues("hidden", What.BYTES, Decimal(100), webhook_url=hook.url), AlertRule.objects.get())
    deliver_all()
    assert ["Partway-Signature" in headers for headers, _ in hook.received] == [True, False], (
        "the secret was entered for an address that is lost"
    )
    save_rule(None, RuleValues("hidden", What.BYTES, Decimal(100), emails=("ops@example.org",)), rule)
    assert AlertRule.objects.get().webhook_url == ""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.slack.com/services/T0/B0/secret", "https://hooks.slack.com/…"),
        ("https://example.org:8443?token=secret", "https://example.org:8443/…"),
        ("http://[::1]:80/secret", "http://[::1]:80/…"),
        ("https://user:secret@example.org/", "https://example.org/…"),
        ("http://[secret", "…"),
    ],
)
def test_only_the_server_of_an_address_is_shown(url: str, shown: str) -> None:
    assert masked_address(url) == shown


def test_this_machine_is_refused_unless_it_is_allowed(store: Store, hook: Webhook, settings: Any) -> None:
    settings.STORE_ALLOWED_ADDRESSES = []
    port = hook.url.split(":")[2]
    for number, host in enumerate(("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433")):
        send_test(None, make_rule(name=f"r{number}", webhook_url=f"http://{host}:{port}"))
    deliver_all()
    assert hook.received == []
    found = set(AlertDelivery.objects.values_list("state", "error_code"))
    assert found == {(ItemState.FAILED, Code.ADDRESS_OF_THIS_MACHINE)}


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0:1/",
        "http://2852039166/",
        "http://[::ffff:169.254.169.254]/",
    ],
)
def test_refused_addresses_are_never_connected_to(store: Store, url: str) -> None:
    send_test(None, make_rule(webhook_url=url))
    deliver_all()
    row = AlertDelivery.objects.get()
    assert (row.state, row.error_code, row.attempts) == (ItemState.FAILED, Code.ADDRESS_REFUSED, 1)


def test_silence_holds_alerts_back(store: Store, hook: Webhook) -> None:
    rule, until = make_rule(hook, store=store), timezone.now()
    silence(None, rule, until)
    for size in (200, 50):  # It starts and ends in silence.
        set_sum(store, size)
        evaluate(rule.pk, until - timedelta(hours=1))
    set_sum(store, 300)  # It starts in silence, and goes on.
    evaluate(rule.pk, until - timedelta(hours=1))
    assert not AlertDelivery.objects.exists()
    evaluate(rule.pk, until)
    deliver_all()
    assert [json.loads(body)["value"] for _, body in hook.received] == ["300"]
    assert AuditEntry.objects.filter(action="alert.silenced").count() == 1


def test_mail_goes_through_the_backend_of_django(store: Store, settings: Any) -> None:
    rule = make_rule(store=store, emails=("ops@example.org", "on-call@example.org"))
    with mail_server() as (port, mails):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        for size in (200, 50):
            set_sum(store, size)
            evaluate(rule.pk, NOW)
            deliver_all()
    assert [each["Subject"] for each in mails] == [
        "[Partway] Alert: hidden is at 200 bytes",
        "[Partway] Ended: hidden",
    ]
    assert mails[0]["To"] == "ops@example.org, on-call@example.org"
    assert mails[0]["Message-ID"] != mails[1]["Message-ID"]


def test_mail_is_repeated_while_the_server_is_away(store: Store, settings: Any) -> None:
    rule = make_rule(emails=("ops@example.org",))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    send_test(None, rule)
    deliver_all()
    assert AlertDelivery.objects.values_list("state", "error_code").get() == (ItemState.ORDERED, Code.MAIL_NOT_SENT)


def test_round_is_limited_in_statements_and_runs_once_a_minute(store: Store) -> None:
    set_sum(store, 1)
    for number in range(5):
        make_rule(name=f"r{number}", threshold=Decimal(0))
    with CaptureQueriesContext(connection) as queries:
        evaluate_alerts(NOW)
    assert len(queries) <= 8 + 5 * 14
    assert Alert.objects.count() == 5
    with CaptureQueriesContext(connection) as queries:
        evaluate_alerts(NOW)
    assert len(queries) <= 3


def test_rules_are_audited_without_their_secrets(store: Store, hook: Webhook) -> None:
    rule = make_rule(hook)
    with pytest.raises(RuleRefused):
        make_rule(hook)
    save_rule(None, RuleValues("hidden", What.BYTES, Decimal(5), webhook_url=hook.url), rule)
    rule.refresh_from_db()
    assert rule.webhook_secret.open() == "a secret"
    save_rule(None, RuleValues("hidden", What.BYTES, Decimal(5), webhook_url="http://other.example/"), rule)
    rule.refresh_from_db()
    assert rule.webhook_secret == "", "a secret is not sent to an address that it was not entered for"
    written = str(list(AuditEntry.objects.values_list("before", "after", "detail")))
    assert "a secret" not in written
    assert "/hook/" not in written
    server = hook.url.removesuffix("hook/") + MASK
    last = AuditEntry.objects.order_by("-pk")[0]
    assert (last.before["webhook"], last.after["webhook"]) == (server, "http://other.example/…")
    assert last.detail == {"fields": ["webhook_url", "webhook_secret"]}


def test_changed_condition_ends_the_alert_without_a_message(store: Store, hook: Webhook) -> None:
    rule = make_rule(hook, store=store)
    set_sum(store, 200)
    evaluate(rule.pk, NOW)
    save_rule(None, RuleValues("hidden", What.BYTES, Decimal(500), store=store, webhook_url=hook.url), rule)
    evaluate(rule.pk, NOW)
    deliver_all()
    assert [json.loads(body)["event"] for _, body in hook.received] == ["start"]
    assert Alert.objects.get().ended_at is not None


def test_pure_rules() -> None:
    missing = Problem(Code.ALERT_NOTHING_SCANNED)
    assert holds(Measured(None, missing), Decimal(0)) is None
    assert holds(Measured(Decimal(1)), Decimal(1)) is False
    assert holds(Measured(Decimal(1), missing), Decimal(1)) is None
    assert holds(Measured(Decimal(2), missing), Decimal(1)) is True
    night = Quiet(22 * 60, 6 * 60)
    assert [night.includes(NOW.replace(hour=hour)) for hour in (21, 22, 23, 5, 6)] == [False, True, True, True, False]
    assert not Quiet(60, 60).includes(NOW)
    day = NOW.date()
    samples = with_sample([], day, 100)
    assert with_sample(samples, day, 200) == samples
    assert growth_per_day(samples, day, 900) is None
    assert growth_per_day(samples, day + timedelta(days=2), 300) == 100
    assert growth_per_day(samples, day + timedelta(days=30), 300) is None
    assert [wait_after(attempts) for attempts in (1, 2, 9, 11, 12)] == [10, 20, 2560, 3600, None]


def test_scan_by_schedule_that_never_ends_is_overdue(store: Store) -> None:
    """No bucket was ever listed, so only the schedule says so."""
    InventorySettings.objects.create(store=store, schedule="hourly")
    scan = Scan.objects.create(store=store, origin="schedule")
    Scan.objects.filter(pk=scan.pk).update(created_at=NOW - timedelta(days=3))
    rule = make_rule(what=What.SCAN_OVERDUE, threshold=Decimal(0))
    of_bucket = make_rule(name="bucket", what=What.SCAN_OVERDUE, threshold=Decimal(0), store=store, bucket="b")
    for each in (rule, of_bucket):
        evaluate(each.pk, NOW)
    assert [each.rule for each in Alert.objects.all()] == [rule]
    Scan.objects.update(finished_at=NOW)
    set_sum(store, 1)
    evaluate(rule.pk, NOW)
    assert not Alert.objects.filter(ended_at=None).exists()


def test_old_deliveries_and_ended_alerts_are_deleted(store: Store) -> None:
    rule, old = make_rule(), timezone.now() - DELIVERIES_KEPT - timedelta(days=1)
    active = Alert.objects.create(rule=rule, value=1, started_at=old)
    ended = Alert.objects.create(rule=rule, value=1, started_at=old, ended_at=old)
    sent = {"rule": rule, "channel": "email", "state": ItemState.DONE}
    AlertDelivery.objects.create(alert=ended, event="start", finished_at=old, **sent)
    AlertDelivery.objects.create(alert=active, event="start", finished_at=old, **sent)
    kept = AlertDelivery.objects.create(event="test", finished_at=timezone.now(), **sent)
    assert delete_old_rows()["deliveries of alerts"] == 3
    assert list(Alert.objects.all()) == [active]
    assert list(AlertDelivery.objects.all()) == [kept]
