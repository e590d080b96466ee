"""What heads do over a set of prompts."""
