"""Pages of people: their access tokens, users, groups, grants and invitations."""
