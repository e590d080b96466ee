"""The lesson on looks and verdicts."""
