"""Two patterns side by side on a page, with what a person can take along of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.definitions import Weighting
from app.components.pattern_pair.component import pattern_pair
from app.components.pattern_pair.payload import Pane
from app.frame.export import Exhibit, pattern_table
from app.frame.frame import offer
from app.frame.paper import inline_svg, paper_pattern
from app.links.subject import Subject
from app.theme import Palette


def draw_pair(first: Pane, second: Pane, palette: Palette, subject: Subject, *, key: str) -> None:
    """Both patterns with one pointer; either and, of equally many tokens, B - A can be exported.

    `subject` is what the first is about, and its `second` what the other is, if that differs.
    """
    pattern_pair(first, second, palette, key=key)
    sides = (replace(subject, second=None), subject.second or subject)
    for side, pane, about in zip("AB", (first, second), sides, strict=True):
        _offer(side, pane.title, pane.pattern, pane.labels, about, pane.weighting)
    if len(first.labels) == len(second.labels):
        title = f"{second.title} − {first.title}"
        change = second.pattern - first.pattern
        _offer("B − A", title, change, second.labels, subject, second.weighting)


def _offer(
    side: str,
    title: str,
    values: np.ndarray,
    labels: Sequence[str],
    subject: Subject,
    weighting: Weighting,
) -> None:
    differ = len(side) > 1

    def paper(origin: str) -> bytes:
        return paper_pattern(values, labels, title, origin, differ, weighting)

    offer(
        Exhibit(
            f"pattern {'difference' if differ else side}",
            lambda: pattern_table(values[None], [title], labels, weighting.unit),
            page=lambda file: inline_svg(paper("")),
            paper=paper,
            picture=paper,
            title=f"{side}: {title}",
            subject=subject,
        )
    )
