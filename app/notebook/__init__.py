"""What a notebook shows: `show` draws heads, `compare` two patterns, `patterns_of` runs a model."""

from app.notebook.models import patterns_of
from app.notebook.show import compare, show

__all__ = ["compare", "patterns_of", "show"]
