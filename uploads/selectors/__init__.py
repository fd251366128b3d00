"""What pages read from the database. Nothing is changed here."""
