"""The inventory: all uploads in progress of all stores as a page, as JSON, and exported."""
