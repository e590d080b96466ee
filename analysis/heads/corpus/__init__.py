"""What heads do over a whole text, window by window."""
