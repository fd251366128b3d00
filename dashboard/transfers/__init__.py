"""Pages about transfers, and the two ways a file arrives: the form and tus."""
