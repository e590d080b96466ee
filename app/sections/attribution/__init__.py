"""The page on attribution: which components push towards a token, and who made the model say it."""
