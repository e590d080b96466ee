"""What a person keeps: claims about heads, with numbers that can be read again."""
