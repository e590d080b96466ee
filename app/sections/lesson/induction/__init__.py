"""The lesson on one induction head."""
