"""The work: stores, uploads in progress, transfers and operations. Never imports the site."""
