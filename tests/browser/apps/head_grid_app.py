"""A page with nothing but the head grid, for the browser tests.

Query parameters: `layers`, `heads`, `tokens`, `hostile` (1: tokens and names that try to run),
`report` (0: the browser keeps the view to itself), `feedback` (1: the returned view is asked for
again, as a page does that keeps it in its link).
"""

import numpy as np
import streamlit as st

from analysis.head import Head
from app.components.head_grid.component import head_grid
from app.components.head_grid.view import HeadGridState

HOSTILE = [
    "</script><script>window.canary=1</script>",
    '<img src=x onerror="window.canary=1">',
    "<b>bold</b>",
    '"; window.canary=1; //',
    "' onmouseover='window.canary=1",
    "\u202etxet desrever",
    "${window.canary=1}",
    "<svg/onload=window.canary=1>",
]
WORDS = ["The", "·quick", "·brown", "·fox", "·jumps", "·over", "·the", "·lazy", "·dog", ".↵"]


def example_patterns(layers: int, heads: int, tokens: int) -> np.ndarray:
    """Previous-token, first-token, induction-like, local and flat heads, mixed with noise."""
    generator = np.random.default_rng(0)
    dest, src = np.indices((tokens, tokens))
    half = tokens // 2
    shapes = [
        10.0 * (src == dest - 1),
        8.0 * (src == 0),
        9.0 * (src == dest - half + 1),
        -0.4 * (dest - src),
        0.0 * src,
        6.0 * (src == dest),
    ]
    scores = np.stack([shapes[i % len(shapes)] for i in range(layers * heads)]).astype(np.float32)
    scores += generator.normal(size=scores.shape).astype(np.float32)
    scores[:, dest < src] = -np.inf
    scores -= scores.max(-1, keepdims=True)
    weights = np.exp(scores)
    weights /= weights.sum(-1, keepdims=True)
    return weights.reshape(layers, heads, tokens, tokens)


def number(name: str, default: int) -> int:
    """A query parameter as a whole number."""
    return int(st.query_params.get(name, default))


def main() -> None:
    """Draw the page."""
    st.set_page_config(layout="wide")
    tokens = number("tokens", 30)
    patterns = example_patterns(number("layers", 2), number("heads", 8), tokens)
    labels = [(HOSTILE if number("hostile", 0) else WORDS)[i % 8] for i in range(tokens)]
    kind = "<img src=x onerror=window.canary=1>" if number("hostile", 0) else "induction"
    half = tokens // 2
    scores = {
        "previous": patterns.diagonal(-1, axis1=-2, axis2=-1).mean(-1),
        kind: patterns.diagonal(1 - half, axis1=-2, axis2=-1).mean(-1),
    }
    asked = HeadGridState(focus=Head(0, 0))
    if number("feedback", 0):
        asked = st.session_state.get("returned", asked)
    if st.button("Ask for L1H3"):
        asked = HeadGridState(focus=Head(1, 3), tokens=(2,))
    view = head_grid(
        patterns,
        labels,
        key="grid",
        scores=scores,
        marks=dict.fromkeys(scores, 0.4),
        view=asked,
        report=bool(number("report", 1)),
    )
    st.session_state["returned"] = view
    st.text(
        f"focus={view.focus.label if view.focus else None} "
        f"locked={','.join(head.label for head in view.locked)} "
        f"tokens={','.join(map(str, view.tokens))} direction={view.direction}"
    )


if __name__ == "__main__":
    main()
