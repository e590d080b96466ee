"""For every score a pattern written out by hand, and the score that it has by the definition."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """A head on a short text, and its score.

    Attributes:
        ids: Token ids of the text; the first is BOS.
        pattern: One row for each token: its attention to each token up to itself.
        score: What the definition says, worked out by hand.
    """

    ids: tuple[int, ...]
    pattern: tuple[tuple[float, ...], ...]
    score: float


# Token 5 comes at positions 1 and 3.
_TWICE = (0, 5, 7, 5)
_ROWS = ((1.0,), (0.5, 0.5), (0.25, 0.75, 0.0), (0.1, 0.2, 0.3, 0.4))

SAMPLES = {
    "current": Sample(_TWICE, _ROWS, (1 + 0.5 + 0 + 0.4) / 4),
    "previous": Sample(_TWICE, _ROWS, (0.5 + 0.75 + 0.3) / 3),  # position 0 has none before it
    "first": Sample(_TWICE, _ROWS, (1 + 0.5 + 0.25 + 0.1) / 4),
    "duplicate": Sample(_TWICE, _ROWS, 0.2),  # of position 3 to 1
    "induction": Sample(_TWICE, _ROWS, 0.3),  # of position 3 to 2, which follows 1
    # 0; half of 1; a quarter of 2 and three of 1; .1 of 3, .2 of 2 and .3 of 1.
    "distance": Sample(_TWICE, _ROWS, (0 + 0.5 + 1.25 + 1.0) / 4),
    # 0, ln 2, 0 and ln 4.
    "entropy": Sample(
        _TWICE, ((1.0,), (0.5, 0.5), (0.0, 1.0, 0.0), (0.25, 0.25, 0.25, 0.25)), 0.51986
    ),
}
