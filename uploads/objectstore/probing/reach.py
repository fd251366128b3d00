"""Whether the store responds, accepts the credentials, and has the bucket."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.failures import finding_of
from uploads.objectstore.probing.probe import Check, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, ok
from uploads.objectstore.types import Bucket
from uploads.objectstore.xml_tree import Fields

NOT_ACCEPTED = frozenset({Reason.CREDENTIALS, Reason.CREDENTIALS_EXPIRED, Reason.CLOCK_SKEW})
NOT_HERE = NOT_ACCEPTED | {Reason.NO_SUCH_BUCKET, Reason.WRONG_REGION, Reason.ADDRESSING}

TOLERABLE_SKEW = timedelta(minutes=1)


def buckets(probe: Probe) -> tuple[Bucket, ...]:
    return probe.requester.client.list_buckets()


def first_listing(probe: Probe) -> Fields:
    return probe.requester.list_uploads(probe.prefix, max_uploads=1)


def _responds(probe: Probe) -> Finding:
    try:
        probe.once(buckets)
    except Refused as refused:
        return ok(FindingCode.ENDPOINT_REFUSES, code=refused.code)
    return ok(FindingCode.ENDPOINT_RESPONDS)


def _tls(probe: Probe) -> Finding:
    if probe.requester.config.endpoint_url.startswith("https:"):
        return ok(FindingCode.CONNECTION_ENCRYPTED)
    return differs(FindingCode.CONNECTION_NOT_ENCRYPTED)


def _credentials(probe: Probe) -> Finding:
    try:
        probe.once(buckets)
    except Refused as refused:
        if refused.reason in NOT_ACCEPTED or (refused.reason is Reason.WRONG_REGION and refused.region):
            raise
    return ok(FindingCode.CREDENTIALS_ACCEPTED)


def _clock(probe: Probe) -> Finding:
    ahead = probe.requester.client.clock_offset
    seconds = round(abs(ahead).total_seconds())
    if abs(ahead) < TOLERABLE_SKEW:
        return ok(FindingCode.CLOCKS_AGREE, difference_seconds=seconds)
    code = FindingCode.CLOCK_AHEAD if ahead > timedelta() else FindingCode.CLOCK_BEHIND
    return differs(code, difference_seconds=seconds)


def _bucket(probe: Probe) -> Finding:
    try:
        probe.once(first_listing)
    except Refused as refused:
        if refused.reason in NOT_HERE:
            raise
    except ObjectStoreError as error:
        if probe.requester.config.addressing == "virtual" and error.reason is Reason.UNREACHABLE:
            return finding_of(error, FindingCode.BUCKET_HOST_UNREACHABLE)
        raise
    return ok(FindingCode.BUCKET_EXISTS)


def _lists_uploads(probe: Probe) -> Finding:
    try:
        probe.once(first_listing)
    except Refused as refused:
        if refused.status in (405, 501) or refused.code in ("NotImplemented", "MethodNotAllowed"):
            found = finding_of(refused, FindingCode.LISTING_UNSUPPORTED)
            return replace(found, flag=("lists_uploads", False))
        raise
    return ok(FindingCode.UPLOADS_LISTED, ("lists_uploads", True))


def _lists_buckets(probe: Probe) -> Finding:
    return ok(FindingCode.BUCKETS_LISTED, count=len(probe.once(buckets)))


CHECKS = (
    Check("reach", Group.REACH, _responds),
    Check("tls", Group.REACH, _tls, ("reach",)),
    Check("credentials", Group.REACH, _credentials, ("reach",)),
    Check("clock", Group.REACH, _clock, ("reach",)),
    Check("bucket", Group.REACH, _bucket, ("credentials",)),
    Check("list-buckets", Group.PERMISSIONS, _lists_buckets, ("credentials",)),
    Check("list-uploads", Group.PERMISSIONS, _lists_uploads, ("bucket",)),
)
