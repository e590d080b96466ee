"""Which heads look like which role on a set of prompts, and whether they matter."""
