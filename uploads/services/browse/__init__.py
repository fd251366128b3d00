"""Reading a store: listings, parts, preflights. Nothing is changed."""
