"""Changes of one rule leave everything else in the document as it is, by any parser."""

from __future__ import annotations

from datetime import date
from xml.etree import ElementTree as ET

import pytest

from tests.domain.lifecycle.documents import EXPIRES, GOOGLE, OSS_RULE, OSS_RULES, S3_ONLY, S3_RULES, oss, s3
from uploads.domain.lifecycle.comparing import Outcome, compare
from uploads.domain.lifecycle.editing import AbortTerms, remove_abort, set_abort
from uploads.domain.lifecycle.rules import OUR_ID, Abort, Configuration, Coverage, Detail, Since, configuration_of
from uploads.objectstore.errors import UnreadableResponse
from uploads.objectstore.types import Signature
from uploads.objectstore.xml_document import LifecycleDocument, read_document, write_document

CASES = [
    *(("sigv4", name, s3(rules)) for name, rules in {**S3_RULES, **S3_ONLY}.items()),
    *(("oss4", name, oss(rules)) for name, rules in OSS_RULES.items()),
]


def read(body: bytes) -> Configuration:
    return configuration_of(LifecycleDocument(read_document(body, "LifecycleConfiguration"), "varies"))


def written(configuration: Configuration) -> bytes:
    assert configuration.document.root is not None
    return write_document(configuration.document.root)


def rules_of(body: bytes) -> list[str]:
    """The rules but ours, as another parser reads them."""
    root = ET.fromstring(body)
    rules = [each for each in root if OUR_ID not in (child.text for child in each)]
    return [ET.canonicalize(ET.tostring(each, encoding="unicode"), strip_text=False) for each in rules]


@pytest.mark.parametrize(("signature", "name", "body"), CASES, ids=[f"{each[0]} {each[1]}" for each in CASES])
def test_set_change_and_remove_leave_the_others(signature: Signature, name: str, body: bytes) -> None:
    before = read(body)
    others = rules_of(written(before))
    added = set_abort(before, signature, AbortTerms(days=7, prefix="tmp/"))
    assert added.ours is not None
    since: Since = "start" if signature == "sigv4" else "last-change"
    assert (added.ours.abort, added.ours.prefix) == (Abort(since, 7), "tmp/"), name
    changed = set_abort(read(written(added)), signature, AbortTerms(days=9))
    assert changed.ours is not None
    assert (changed.ours.abort, changed.ours.prefix, changed.ours.is_enabled) == (Abort(since, 9), "", True)
    for each in (added, changed):
        assert rules_of(written(each)) == others
        assert each.document.size_rule == "varies"
        assert compare(each, read(written(each)), OUR_ID).outcome is Outcome.DONE
        assert each.digest != before.digest
    assert remove_abort(changed, changed.ours).digest == before.digest


def test_only_the_abort_of_another_rule_changes() -> None:
    rules = S3_RULES["an abort of somebody else"]
    before = read(s3(rules))
    (theirs,) = before.aborting
    changed = set_abort(before, "sigv4", AbortTerms(days=20, prefix="ignored"), theirs)
    assert written(changed) == written(read(s3(rules.replace(">3<", ">20<"))))
    assert compare(changed, read(written(changed)), "logs").outcome is Outcome.DONE
    removed = remove_abort(before, theirs)
    assert removed.digest == read(s3(EXPIRES)).digest
    assert compare(removed, read(s3(EXPIRES)), "logs").outcome is Outcome.DONE


def test_a_configuration_without_rules_is_none() -> None:
    empty = configuration_of(LifecycleDocument(None))
    added = set_abort(empty, "oss4", AbortTerms(before=date(2026, 1, 2)))
    assert b"<CreatedBeforeDate>2026-01-02T00:00:00.000Z</CreatedBeforeDate>" in written(added)
    assert added.ours is not None
    assert remove_abort(added, added.ours).document.root is None
    assert added.coverage is Coverage.PART
    assert set_abort(empty, "oss4", AbortTerms(days=1)).coverage is Coverage.ALL


@pytest.mark.parametrize("name", ["prefix and a tag", "prefix and tags"])
def test_a_prefix_beside_its_and_is_written_into_it(name: str) -> None:
    """Ceph returns it beside the And, where it does not read it: the rule would then delete all keys."""
    good = S3_RULES[name]
    beside = good.replace("<And><Prefix>x/</Prefix>", "<Prefix>x/</Prefix><And>")
    without_and = beside.replace("<And>", "").replace("</And>", "")
    for each in (beside, without_and):
        assert written(read(s3(each))) == s3(good).replace(b"<Life", b'<?xml version="1.0" encoding="UTF-8"?><Life', 1)
        assert read(s3(each)).digest == read(s3(good)).digest
    assert read(s3(good)).digest != read(s3(good.replace("<Prefix>x/</Prefix>", ""))).digest


def test_old_and_new_prefixes_are_not_mixed() -> None:
    """S3 refuses a configuration in which some rules have a Filter and others have not."""
    old = written(set_abort(read(s3(S3_RULES["old prefix"])), "sigv4", AbortTerms(days=7)))
    assert b"<Filter>" not in old
    new = written(set_abort(read(s3(EXPIRES)), "sigv4", AbortTerms(days=7)))
    assert new.count(b"<Filter>") == 2


def test_prefixes_of_namespaces_are_kept() -> None:
    body = s3(EXPIRES.replace("<", "<a:").replace("<a:/", "</a:"), "a")
    added = set_abort(read(body), "sigv4", AbortTerms(days=7))
    assert b"<a:Rule><a:ID>partway" in written(added)
    assert compare(set_abort(read(s3(EXPIRES)), "sigv4", AbortTerms(days=7)), added, OUR_ID).outcome is Outcome.DONE


def test_what_the_store_did_with_it() -> None:
    before = read(s3(EXPIRES))
    intended = set_abort(before, "sigv4", AbortTerms(days=7))
    assert compare(intended, before, OUR_ID).outcome is Outcome.DROPPED
    lost = set_abort(configuration_of(LifecycleDocument(None, "varies")), "sigv4", AbortTerms(days=7))
    found = compare(intended, lost, OUR_ID)
    assert (found.outcome, found.missing, found.unexpected) == (Outcome.OTHERS_CHANGED, 1, 0)
    other_size = configuration_of(LifecycleDocument(intended.document.root, "all"))
    assert compare(intended, other_size, OUR_ID).outcome is Outcome.OTHERS_CHANGED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"<LifecycleConfiguration><Rule>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><LifecycleConfiguration/>',
        b"<LifecycleConfiguration>" + b"<a>" * 40 + b"</a>" * 40 + b"</LifecycleConfiguration>",
        b"<LifecycleConfiguration>\xff\xfe</LifecycleConfiguration>",
        b"<LifecycleConfiguration>&#x01;</LifecycleConfiguration>",
        b"<LifecycleConfiguration>" + b"<Rule/>" * 200_001 + b"</LifecycleConfiguration>",
    ],
)
def test_what_cannot_be_read_exactly_is_not_changed(body: bytes) -> None:
    with pytest.raises(UnreadableResponse):
        read(body)


def test_strange_values_are_shown() -> None:
    rules = oss(OSS_RULE.replace("</Rule>", "<AbortMultipartUpload><Days>many</Days></AbortMultipartUpload></Rule>"))
    (rule,) = read(rules).aborting
    assert rule.abort == Abort("last-change")


def test_rules_of_google_are_read() -> None:
    """They have no names and no status, and their days count from the start of an upload."""
    rules = read(GOOGLE)
    whole, storage_class, delete, some = rules.rules
    assert rules.aborting == (whole, some)
    assert (whole.abort, whole.is_enabled, whole.is_for_all, whole.actions) == (Abort("start", 7), True, True, ())
    assert (some.abort, some.is_enabled, some.is_for_all) == (Abort("start", 1), True, False)
    assert some.conditions == (Detail("MatchesPrefix", "tmp/&ä"), Detail("MatchesSuffix", ".part"))
    assert (storage_class.abort, storage_class.actions) == (None, (Detail("Action SetStorageClass", "NEARLINE"),))
    assert (delete.abort, delete.actions) == (None, (Detail("Action Delete", ""),))
    assert rules.coverage is Coverage.ALL
    assert read(GOOGLE.replace(b"<Age>7</Age>", b"<MatchesPrefix>a</MatchesPrefix>")).coverage is Coverage.PART
    unknown = read(GOOGLE.replace(b"<Age>7</Age>", b"<Age>soon</Age>")).rules[0].abort
    assert unknown is not None
    assert not unknown.is_known, "what cannot be read is not taken for a number of days"
