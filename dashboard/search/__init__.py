"""The search box of the header: from a key, an id or a name to its page."""
