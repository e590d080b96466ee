"""What an address holds."""
