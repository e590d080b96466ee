"""A forward pass as bytes for the browser; knows nothing of Streamlit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from analysis.head import Head
from app.components.exchange import Exchange
from app.components.forward_pass.view import LEAST, PassView
from app.components.head_grid.packing import assemble
from app.text import display_token

# More would lie on top of each other, and on a narrow screen below the edge.
MAX_TOKENS = 256
# Of a layer the strongest are enough to fill the picture.
MOST_ARCS = 600


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass shows.

    `labels` may hold anything: they are only ever drawn as text. Depths are the embedding and what
    follows each layer.
    """

    labels: Sequence[str]
    patterns: Float[np.ndarray, "layer head dest src"]
    ids: Int[np.ndarray, "depth k"]
    probs: Float[np.ndarray, "depth k"]
    guesses: Sequence[Sequence[str]]  # what each of `ids` stands for
    position: int
    off: Sequence[Head]
    inks: Sequence[str] = ()  # colours of the tokens, if they have any of their own


def pass_payload(shown: Pass, key: str, view: Exchange[PassView]) -> bytes:
    """What the browser gets, as in `app.components.head_grid.packing`.

    The numbers are arcs, layer after layer: head, destination, source, and attention of which
    65535 stands for 1, each as a 2-byte integer; strong ones first.
    """
    arcs = [_arcs(layer) for layer in shown.patterns]
    rows = zip(shown.ids, shown.probs, shown.guesses, strict=True)
    header = {
        "key": key,
        "labels": [display_token(label) for label in shown.labels],
        "inks": list(shown.inks),
        "heads": shown.patterns.shape[1],
        "arcs": [len(each) for each in arcs],
        "command": {"number": view.number, **view.command.to_json()},
        "position": shown.position,
        "off": [head.label for head in shown.off],
        "guesses": [
            [
                {"id": int(token), "text": display_token(text), "p": round(float(p), 6)}
                for token, p, text in zip(*depth, strict=True)
            ]
            for depth in rows
        ],
    }
    return assemble(header, b"".join(each.tobytes() for each in arcs))


def _arcs(patterns: Float[np.ndarray, "head dest src"]) -> Int[np.ndarray, "arc part"]:
    """The strongest arcs of one layer, from a token back to an earlier one."""
    strong = np.tril(patterns, -1)
    places = np.argwhere(strong >= LEAST)
    values = strong[tuple(places.T)]
    best = np.argsort(-values, kind="stable")[:MOST_ARCS]
    shares = np.rint(values[best].clip(0, 1) * 65535)
    return np.column_stack([places[best], shares]).astype("<u2")
