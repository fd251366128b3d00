"""Accessibility of a page by the rules of axe-core: all that come to a verdict by themselves."""

from __future__ import annotations

from functools import cache

from playwright.sync_api import Page

from local import installation

EVERY_RULE = (("light", 1280), ("dark", 390))
COLOURS_ONLY = (("dark", 1280), ("light", 390))
"""Themes and widths. What does not depend on colours is the same in both themes."""

RUN = """async (coloursOnly) => {
  const rules = axe.getRules(coloursOnly ? ["cat.color"] : undefined).map(({ ruleId }) => ruleId);
  const options = { runOnly: { type: "rule", values: rules }, resultTypes: ["violations"], preload: !coloursOnly };
  const { violations } = await axe.run(document, options);
  return violations.map(({ id, nodes }) => [id, nodes.map(({ html, any, all, none }) =>
    [html, ...[...any, ...all, ...none].map((check) => check.message)].join(" | "))]);
}"""

SHOWN = 10
"""Elements of a rule that are named for a page."""


@cache
def source() -> str:
    return (installation.PROJECT / "node_modules" / "axe-core" / "axe.min.js").read_text()


def violations(page: Page) -> list[str]:
    """What the page violates, in both themes and on both widths."""
    page.evaluate(source())
    found: list[str] = []
    for places, colours_only in ((EVERY_RULE, False), (COLOURS_ONLY, True)):
        for theme, width in places:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("(theme) => document.documentElement.setAttribute('data-bs-theme', theme)", theme)
            results: list[tuple[str, list[str]]] = page.evaluate(RUN, colours_only)
            for rule, elements in results:
                found += [f"{rule} at {width} in {theme}: {each[:400]}" for each in elements[:SHOWN]]
    return found
