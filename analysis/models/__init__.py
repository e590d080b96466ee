"""Which models there are, what can be said of them, and loading them."""
