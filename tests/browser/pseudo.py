"""A pseudo language: every translated text has accented letters, so that untranslated text on a page stands out."""

from __future__ import annotations

import re
from pathlib import Path

import django
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGE = "en-xa"
PROJECT = Path(__file__).resolve().parents[2]
DJANGO = Path(django.__file__).parent

TEMPLATES = {
    "django": [
        PROJECT / "locale/django.pot",
        DJANGO / "conf/locale/en/LC_MESSAGES/django.po",
        DJANGO / "contrib/auth/locale/en/LC_MESSAGES/django.po",
    ],
    "djangojs": [PROJECT / "locale/djangojs.pot"],
}
"""The texts of each domain. Some texts on our pages are Django's own."""

PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ACCENTED = "ÅƁÇÐÉƑĜĤÎĴĶĻṀÑÖÞǪŔŠŢÛṼŴẊÝŽåƀçðéƒĝĥîĵķļɱñöþǫŕšţûṽŵẋýž"
ACCENTS = str.maketrans(PLAIN, ACCENTED)
KEPT = re.compile(r"(%\(\w+\)[sd]|%[sd%]|<[^<>]*>|&\w+;|\{\w*\})")
"""Placeholders, markup and entities."""


def translated(text: str) -> str:
    """The text with accented letters, except in placeholders and markup, in brackets that show whether it is whole."""
    pieces = KEPT.split(text)
    return f"⟦{''.join(piece if KEPT.fullmatch(piece) else piece.translate(ACCENTS) for piece in pieces)}⟧"


def write_catalogs(folder: Path) -> None:
    """Write a compiled catalog of the pseudo language for each domain."""
    messages = folder / "en_XA/LC_MESSAGES"
    messages.mkdir(parents=True)
    for domain, templates in TEMPLATES.items():
        catalog = _pseudo_catalog(templates)
        with (messages / f"{domain}.mo").open("wb") as file:
            write_mo(file, catalog)


def _pseudo_catalog(templates: list[Path]) -> Catalog:
    catalog = Catalog(locale="en")
    for template in templates:
        with template.open("rb") as file:
            for message in read_po(file):
                if message.id:
                    one_or_more = message.id
                    texts = (
                        translated(one_or_more) if isinstance(one_or_more, str) else tuple(map(translated, one_or_more))
                    )
                    catalog.add(one_or_more, texts, context=message.context)
    return catalog
