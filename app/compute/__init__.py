"""Questions to the models: computed once, bounded, and remembered."""
