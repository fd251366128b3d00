"""Lifecycle rules of buckets: read, changed, compared, and simulated against the inventory."""
