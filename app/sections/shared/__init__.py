"""What sections of several families draw."""
