"""Aborting and completing one multipart upload, for transfers and operations."""
