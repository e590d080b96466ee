"""The start page: heads at work on a text, ways on, and the model."""
