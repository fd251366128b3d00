"""What every page family uses: links, parameters, formatting, errors and messages."""
