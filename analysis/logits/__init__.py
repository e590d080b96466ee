"""What heads and other components add to the logits."""
