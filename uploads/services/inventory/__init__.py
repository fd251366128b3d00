"""The inventory of uploads in progress: reading them from the stores, judging them, and their sums."""
