"""What one head does over a whole text."""
