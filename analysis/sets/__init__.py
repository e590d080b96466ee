"""Sets of prompts: what a mean over prompts is taken over."""
