"""Lifecycle rules: what they say about unfinished uploads, and changes that leave everything else as it is. Pure."""
