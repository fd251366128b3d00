"""Whether the store answers, believes us, and has the bucket."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from uploads.objectstore import xml
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.objectstore.probing.failures import finding_of
from uploads.objectstore.probing.probe import Check, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok
from uploads.objectstore.types import Bucket

NOT_BELIEVED = frozenset({Reason.CREDENTIALS, Reason.CREDENTIALS_EXPIRED, Reason.CLOCK_SKEW})
NOT_HERE = NOT_BELIEVED | {Reason.NO_SUCH_BUCKET, Reason.WRONG_REGION, Reason.ADDRESSING}

TOLERABLE_SKEW = timedelta(minutes=1)


def buckets(probe: Probe) -> tuple[Bucket, ...]:
    return probe.requester.client.list_buckets()


def first_listing(probe: Probe) -> xml.Fields:
    return probe.requester.list_uploads(probe.prefix, max_uploads=1)


def _answer(probe: Probe) -> Finding:
    try:
        probe.once(buckets)
    except Refused as refused:
        return ok(f"The endpoint answers ({refused.code}).")
    return ok("The endpoint answers.")


def _tls(probe: Probe) -> Finding:
    if probe.requester.config.endpoint_url.startswith("https:"):
        return ok("The connection is encrypted, and the certificate was verified.")
    return differs("The connection is not encrypted (http).", "Use https unless the store is on this very machine.")


def _credentials(probe: Probe) -> Finding:
    try:
        probe.once(buckets)
    except Refused as refused:
        if refused.reason in NOT_BELIEVED or (refused.reason is Reason.WRONG_REGION and refused.region):
            raise
    return ok("The store accepts the access key and the signature.")


def _clock(probe: Probe) -> Finding:
    ahead = probe.requester.client.clock_offset
    seconds = round(abs(ahead).total_seconds())
    way = "ahead of" if ahead > timedelta() else "behind"
    if abs(ahead) < TOLERABLE_SKEW:
        return ok(f"The store's clock and this machine's differ by {seconds} s.")
    return differs(
        f"The store's clock is {seconds} s {way} this machine's.",
        "Set the clock by NTP: from 15 minutes on the store refuses every request.",
    )


def _bucket(probe: Probe) -> Finding:
    try:
        probe.once(first_listing)
    except Refused as refused:
        if refused.reason in NOT_HERE:
            raise
    except ObjectStoreError as error:
        if probe.requester.config.addressing == "virtual" and error.reason is Reason.UNREACHABLE:
            return failed(error.message, "The bucket's own host name is not known: set the store's addressing to path.")
        raise
    return ok("The store has the bucket.")


def _lists_uploads(probe: Probe) -> Finding:
    try:
        probe.once(first_listing)
    except Refused as refused:
        if refused.status in (405, 501) or refused.code in ("NotImplemented", "MethodNotAllowed"):
            found = finding_of(refused, "Use another endpoint of the store, or one that lists uploads.")
            return replace(found, flag=("lists_uploads", False))
        raise
    return ok("Uploads of the bucket may be listed.", ("lists_uploads", True))


def _lists_buckets(probe: Probe) -> Finding:
    number = len(probe.once(buckets))
    return ok("1 bucket is listed." if number == 1 else f"{number:,} buckets are listed.")


CHECKS = (
    Check("reach", "The endpoint answers", Group.REACH, _answer),
    Check("tls", "The connection is encrypted", Group.REACH, _tls, ("reach",)),
    Check("credentials", "The credentials are accepted", Group.REACH, _credentials, ("reach",)),
    Check("clock", "The clocks agree", Group.REACH, _clock, ("reach",)),
    Check("bucket", "The bucket is there", Group.REACH, _bucket, ("credentials",)),
    Check("list-buckets", "ListBuckets", Group.PERMISSIONS, _lists_buckets, ("credentials",)),
    Check("list-uploads", "ListMultipartUploads", Group.PERMISSIONS, _lists_uploads, ("bucket",)),
)
