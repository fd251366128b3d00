"""Pure rules: planning, states and the summary of parts. No Django, no requests."""
