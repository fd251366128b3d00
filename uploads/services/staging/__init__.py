"""Bytes staged on this node: quota, usage and the expected SHA-256."""
