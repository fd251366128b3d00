"""Sweeps: planning, approving, running and proving the removal of uploads by a rule."""
