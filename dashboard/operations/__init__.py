"""Pages about operations: aborts and completions that run in the background."""
