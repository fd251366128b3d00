"""Whether the store has lifecycle rules. They are only read: writing them would replace those of the bucket."""

from __future__ import annotations

from uploads.objectstore.client_lifecycle import has_no_rules
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.probe import Check, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, ok
from uploads.objectstore.xml_document import LifecycleDocument

ABORTS = frozenset({"AbortIncompleteMultipartUpload", "AbortMultipartUpload"})


def _rules(probe: Probe) -> Finding:
    is_none = probe.profile.lifecycle == "none"
    try:
        found = probe.requester.client.get_bucket_lifecycle(probe.requester.bucket)
    except ObjectStoreError as error:
        if not has_no_rules(error):
            raise
        finding = ok if is_none else differs
        return finding(FindingCode.LIFECYCLE_MISSING, ("lifecycle", "none"))
    if is_none and _aborts_uploads(found):
        kind = "oss" if probe.requester.config.signature == "oss4" else "s3"
        return differs(FindingCode.LIFECYCLE_KEPT, ("lifecycle", kind))
    return ok(FindingCode.LIFECYCLE_READ)


def _aborts_uploads(document: LifecycleDocument) -> bool:
    rules = document.root.all("Rule") if document.root is not None else ()
    return any(each.local in ABORTS for rule in rules for each in rule.elements)


CHECKS = (Check("lifecycle", Group.PERMISSIONS, _rules, ("bucket",)),)
