"""Pages of long lists of our own rows: found by keys, so that the last page costs no more than the first."""
