"""The page of roles: screens of heads on a set of prompts, and verdicts."""
