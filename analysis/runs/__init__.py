"""Running a model: its input, forward passes, and what they give."""
