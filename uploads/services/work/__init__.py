"""Leased work: its kinds and tasks, leases, states, failed attempts, and the queue."""
