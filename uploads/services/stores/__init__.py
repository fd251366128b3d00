"""Stores: their settings, clients, connection tests and store checks."""
