"""Measurements: each module checks a claim about speed or memory and prints one table."""
