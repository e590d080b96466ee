"""Two patterns side by side on a page, with what a person can take along of them."""

from collections.abc import Sequence

import numpy as np

from app.components.pattern_pair import Pane, pattern_pair
from app.frame.export import Exhibit, pattern_table
from app.frame.frame import offer
from app.frame.paper import inline_svg, paper_pattern
from app.theme import Palette


def draw_pair(
    first: Pane, second: Pane, palette: Palette, *, models: tuple[str, str], key: str
) -> None:
    """Both patterns with one pointer; either and, of equally many tokens, B - A can be exported."""
    pattern_pair(first, second, palette, key=key)
    for side, pane, model in zip("AB", (first, second), models, strict=True):
        _offer(side, pane.title, pane.pattern, pane.labels, model)
    if len(first.labels) == len(second.labels):
        title, both = f"{second.title} − {first.title}", " − ".join(dict.fromkeys(models[::-1]))
        _offer("B − A", title, second.pattern - first.pattern, second.labels, both)


def _offer(side: str, title: str, values: np.ndarray, labels: Sequence[str], model: str) -> None:
    def paper() -> bytes:
        return paper_pattern(values, labels, title, model, diverging=len(side) > 1)

    offer(
        Exhibit(
            f"{side}: {title}",
            lambda: pattern_table(values[None], [title], labels),
            page=lambda file: inline_svg(paper()),
            paper=paper,
        )
    )
