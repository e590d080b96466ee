"""The fast viewer of many heads: `head_grid` draws it, `HeadGridState` is what it returns."""

from app.head_grid.component import head_grid
from app.head_grid.view import Direction, HeadGridState

__all__ = ["Direction", "HeadGridState", "head_grid"]
