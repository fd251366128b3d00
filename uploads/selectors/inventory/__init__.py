"""Reading the inventory for its page, its exports, saved views and sweeps: uploads in progress that a user may see."""

from uploads.selectors.inventory.conditions import uploads_of

__all__ = ["uploads_of"]
