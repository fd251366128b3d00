"""Texts with a beginning as a range, which an index that compares bytes or code points can find."""

from __future__ import annotations


def after_all_with(prefix: str) -> str:
    """The first text after all those that begin with the prefix, by code points; '' if there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return ""
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)
