"""What heads do, by their attention patterns."""
