"""The fast viewer of many heads: `head_grid` draws it, `HeadGridState` is what it returns."""

from app.components.head_grid.component import head_grid
from app.components.head_grid.view import Direction, HeadGridState

__all__ = ["Direction", "HeadGridState", "head_grid"]
