"""A transfer from creation to its end."""
