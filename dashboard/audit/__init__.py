"""The audit log: its page, the same as JSON, and its exports."""
