"""The lifecycle rules of a bucket about unfinished uploads."""
