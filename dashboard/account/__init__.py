"""The pages of a user's own account: password, second factor, sessions."""
