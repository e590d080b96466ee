"""What a visitor has found: kept, checked, handed on."""
