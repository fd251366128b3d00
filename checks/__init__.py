"""Checks of our own for `make check`: each module is one, `python -m checks.<name>`."""
