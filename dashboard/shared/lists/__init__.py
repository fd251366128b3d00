"""Lists of our own rows: what a list declares, its address, and what its page needs.

A list is a `ListSpec`, a filter with its conditions (`uploads.selectors.lists`), and a template for a row.
"""

from dashboard.shared.lists.address import ListAddress
from dashboard.shared.lists.page import ListPage, choice_context, heads, list_context, list_page
from dashboard.shared.lists.query import ListQuery, common_filters, read_list
from dashboard.shared.lists.spec import Action, Column, Filter, Kind, ListSpec

__all__ = [
    "Action",
    "Column",
    "Filter",
    "Kind",
    "ListAddress",
    "ListPage",
    "ListQuery",
    "ListSpec",
    "choice_context",
    "common_filters",
    "heads",
    "list_context",
    "list_page",
    "read_list",
]
