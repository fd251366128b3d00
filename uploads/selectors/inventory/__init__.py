"""Reading the inventory for its page, its exports, saved views and sweeps: uploads in progress that a user may see."""

from uploads.selectors.inventory.conditions import uploads_of
from uploads.selectors.inventory.groups import Group, Groups, groups
from uploads.selectors.inventory.order import BadCursor
from uploads.selectors.inventory.page import InventoryPage, find_page, iter_uploads
from uploads.selectors.inventory.plan import Plan, plan_of
from uploads.selectors.inventory.totals import ClassBytes, Totals, totals

__all__ = [
    "BadCursor",
    "ClassBytes",
    "Group",
    "Groups",
    "InventoryPage",
    "Plan",
    "Totals",
    "find_page",
    "groups",
    "iter_uploads",
    "plan_of",
    "totals",
    "uploads_of",
]
