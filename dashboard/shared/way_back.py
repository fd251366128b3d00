"""The page that an operator came from, so that the page of an upload leads back to it exactly.

Rows do not repeat the address of their page: the browser sends it as the referrer. From there on, links and forms carry
it in the parameter `back`.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from django.http import HttpRequest
from django.urls import reverse

from dashboard.shared.links import BucketLinks

BACK = "back"

LONGEST = 3000
"""Characters of an address that links carry. With the longest key, theirs stay below 8 KB."""


def links_of(request: HttpRequest, store: str, bucket: str) -> BucketLinks:
    """The pages of a bucket, with the way back: the parameter `back`, or the referrer."""
    links = BucketLinks(store, bucket)
    given = request.POST.get(BACK) or request.GET.get(BACK) or request.headers.get("Referer", "")
    return replace(links, back=safe_back(links, given))


def safe_back(links: BucketLinks, given: str) -> str:
    """The path and query of a page that lists these uploads; '' for any other address.

    Only the query is taken from the address. A path of ours is compared, so that no link leads to another site.
    """
    if len(given) > LONGEST or not given.isascii() or not given.isprintable():
        return ""
    try:
        address = urlsplit(given)
    except ValueError:
        return ""
    pages = (links.uploads, links.compare_form, reverse("inventory"))
    path = next((page for page in pages if page == address.path), "")
    return f"{path}?{address.query}" if path and address.query else path
