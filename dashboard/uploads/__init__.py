"""Pages about the uploads of a bucket: the listing, one upload, abort and complete."""
