"""A transfer from its start to its end."""
