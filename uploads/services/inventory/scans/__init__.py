"""Scans: requested as rows, and run by tasks of bounded length under leases, on a queue of their own."""
