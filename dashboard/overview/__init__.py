"""The overview: what is wrong in all stores, what is in progress, and the state of each store."""
