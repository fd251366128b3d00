"""Abort and Complete of one multipart upload, shared by transfers and operations."""
