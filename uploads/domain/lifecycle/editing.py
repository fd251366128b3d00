"""Changes of one rule, or only of its element about unfinished uploads. Everything else in the document stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType

from uploads.domain.lifecycle.rules import ABORTS, OUR_ID, Configuration, Rule, configuration_of
from uploads.objectstore.types import Signature
from uploads.objectstore.xml_document import Element, LifecycleDocument

_NAMES: Mapping[Signature, tuple[str, str]] = MappingProxyType(
    {
        "sigv4": ("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
        "oss4": ("AbortMultipartUpload", "Days"),
    }
)
_NAMESPACES: Mapping[Signature, str] = MappingProxyType(
    {"sigv4": "http://s3.amazonaws.com/doc/2006-03-01/", "oss4": ""}
)
_ROOT = "LifecycleConfiguration"


@dataclass(frozen=True, slots=True)
class AbortTerms:
    """When uploads are to be aborted: after days, or (OSS) all that were last changed before a date in UTC.

    `prefix` limits our own rule; it is not used for a rule of somebody else.
    """

    days: int | None = None
    before: date | None = None
    prefix: str = ""


def set_abort(
    configuration: Configuration, signature: Signature, terms: AbortTerms, rule: Rule | None = None
) -> Configuration:
    """With these terms in our rule, which is added if there is none; or in another rule, if it is given."""
    target = rule or configuration.ours
    if target is None:
        return _with_root(configuration, _added(configuration, signature, terms))
    root = _root(configuration, signature)
    changed = _with_abort(target.element, signature, terms)
    if target.is_ours:
        changed = _enabled(changed)
        if terms.prefix != target.prefix or target.conditions:
            changed = _with_prefix(changed, terms.prefix, is_old=_uses_old_prefixes(configuration, signature))
    return _with_root(configuration, root.replacing(target.element, [changed]))


def remove_abort(configuration: Configuration, rule: Rule) -> Configuration:
    """Without the element of the rule about unfinished uploads, and without a rule that does nothing else."""
    root = configuration.document.root
    if root is None:
        return configuration
    rest = replace(rule.element, content=tuple(each for each in rule.element.content if not _is_abort(each)))
    changed = root.replacing(rule.element, [rest] if rule.actions else [])
    if next(changed.all("Rule"), None) is None:
        return configuration_of(LifecycleDocument(None))
    return _with_root(configuration, changed)


def _with_root(configuration: Configuration, root: Element) -> Configuration:
    return configuration_of(replace(configuration.document, root=root))


def _root(configuration: Configuration, signature: Signature) -> Element:
    root = configuration.document.root
    if root is not None:
        return root
    namespace = _NAMESPACES[signature]
    return Element(_ROOT, (("xmlns", namespace),) if namespace else ())


def _added(configuration: Configuration, signature: Signature, terms: AbortTerms) -> Element:
    root = _root(configuration, signature)
    prefix = root.prefix
    rule = Element(f"{prefix}Rule").adding(
        _leaf(prefix, "ID", OUR_ID),
        _selecting(prefix, terms.prefix, is_old=_uses_old_prefixes(configuration, signature)),
        _leaf(prefix, "Status", "Enabled"),
        _abort(prefix, signature, terms),
    )
    return root.adding(rule)


def _uses_old_prefixes(configuration: Configuration, signature: Signature) -> bool:
    """Whether rules have their prefix directly, as in OSS and in the old form of S3.

    S3 refuses a configuration in which some rules have a Filter and others have not.
    """
    if signature == "oss4":
        return True
    rules = [rule.element for rule in configuration.rules if not rule.is_ours]
    return any(each.first("Prefix") for each in rules) and not any(each.first("Filter") for each in rules)


def _selecting(prefix: str, value: str, *, is_old: bool) -> Element:
    inner = _leaf(prefix, "Prefix", value)
    return inner if is_old else Element(f"{prefix}Filter").adding(inner)


def _with_prefix(rule: Element, value: str, *, is_old: bool) -> Element:
    """Our rule for this prefix, with no other limit."""
    selects = [each for each in rule.elements if each.local in ("Prefix", "Filter", "Tag")]
    new = _selecting(rule.prefix, value, is_old=is_old)
    if not selects:
        return rule.adding(new)
    for place, each in enumerate(selects):
        rule = rule.replacing(each, [new] if place == 0 else [])
    return rule


def _enabled(rule: Element) -> Element:
    status = rule.first("Status")
    enabled = _leaf(rule.prefix, "Status", "Enabled")
    return rule.adding(enabled) if status is None else rule.replacing(status, [enabled])


def _with_abort(rule: Element, signature: Signature, terms: AbortTerms) -> Element:
    new = _abort(rule.prefix, signature, terms)
    found = next((each for each in rule.elements if each.local in ABORTS), None)
    return rule.adding(new) if found is None else rule.replacing(found, [new])


def _abort(prefix: str, signature: Signature, terms: AbortTerms) -> Element:
    name, days = _NAMES[signature]
    if terms.before is not None:
        inner = _leaf(prefix, "CreatedBeforeDate", f"{terms.before:%Y-%m-%d}T00:00:00.000Z")
    else:
        inner = _leaf(prefix, days, str(terms.days))
    return Element(f"{prefix}{name}").adding(inner)


def _leaf(prefix: str, name: str, text: str) -> Element:
    return Element(f"{prefix}{name}", (), (text,) if text else ())


def _is_abort(node: Element | str) -> bool:
    return isinstance(node, Element) and node.local in ABORTS
