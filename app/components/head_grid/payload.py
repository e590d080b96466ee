"""What the browser gets of a head grid, in a page or in a notebook; knows nothing of Streamlit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from analysis.definitions import ATTENTION, Weighting
from analysis.head import Head
from app.components.head_grid.packing import assemble, rescaled_rows, weighted_rows
from app.components.head_grid.view import MAX_LOCKED, MAX_LOCKED_TOKENS, Player


def grid_payload(
    patterns: Float[np.ndarray, "head dest src"],
    labels: Sequence[str],
    heads: Sequence[Head],
    *,
    key: str,
    scores: Mapping[str, Float[np.ndarray, " head"]],
    marks: Mapping[str, float],
    note: str,
    height: int,
    report: bool,
    player: Player = "none",
    weighting: Weighting = ATTENTION,
    top: float = 1,
    bidirectional: bool = False,
    sources: Sequence[str] | None = None,
    command: Mapping[str, Any],
) -> bytes:
    """What the browser gets: see `packing`, and `GridHeader` in `js/grid_data.js`.

    Attention may be an encoder's (`bidirectional`), or to another text: then `sources` are its
    labels, and it is `bidirectional` as well. Weighted patterns are causal.
    """
    header = {
        "key": key,
        "heads": [[head.layer, head.head] for head in heads],
        "labels": [str(label) for label in labels],
        "scores": {name: [_number(value) for value in values] for name, values in scores.items()},
        "marks": dict(marks),
        "values": {
            "name": weighting.quantity.name,
            "unit": weighting.unit,
            "top": top,
            "signed": weighting.signed,
        },
        "bidirectional": bidirectional,
        "sources": None if sources is None else [str(label) for label in sources],
        "note": note,
        "height": height,
        "report": report,
        "player": player,
        "limits": {"locked": MAX_LOCKED, "tokens": MAX_LOCKED_TOKENS},
        "command": command,
    }
    rows = rescaled_rows(patterns, bidirectional) if weighting.plain else weighted_rows(patterns)
    return assemble(header, rows)


def _number(value: float) -> float | None:
    """JSON has no NaN; five digits are more than a score means."""
    return round(float(value), 5) if np.isfinite(value) else None
