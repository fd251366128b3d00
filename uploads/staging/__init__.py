"""Staging: bytes here that are not yet in the store."""
