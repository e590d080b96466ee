"""Interventions by hand: the recipe, and what it does."""
