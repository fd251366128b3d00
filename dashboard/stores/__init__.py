"""Pages about stores: the list, setup, connection test and store check."""
