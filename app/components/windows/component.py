"""The strips as a Streamlit component: the browser does the rest by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import streamlit as st
from jaxtyping import Float, Int
from streamlit.components.v2.types import ComponentRenderer

from analysis.head import Head
from app.components.head_grid.packing import assemble
from app.components.scripts import joined
from app.text import display_token

_FOLDER = Path(__file__).parent
_GRID = _FOLDER.parent / "head_grid"


@dataclass(frozen=True, eq=False)
class Strip:
    """One window: what is said above it, its tokens, and of each its largest keys.

    `start` is the query that is active at first, and that the strip is scrolled to. Texts may hold
    anything: they are only ever drawn as text.
    """

    title: str
    note: str
    labels: Sequence[str]
    keys: Int[np.ndarray, "pos key"]
    attention: Float[np.ndarray, "pos key"]
    start: int


@cache
def _component() -> ComponentRenderer:
    own = (_FOLDER / "windows.css").read_text(encoding="utf-8")
    return st.components.v2.component(
        "window_strips",
        js=joined(_FOLDER / "js" / "page" / "windows.js"),
        css=(_GRID / "head_grid.css").read_text(encoding="utf-8") + own,
    )


def window_strips(strips: Sequence[Strip], head: Head, *, key: str) -> None:
    """Windows of one head below each other, each as the text below the pictures on Attention."""
    _component()(key=key, data=strips_payload(strips, head, key))


def strips_payload(strips: Sequence[Strip], head: Head, key: str) -> bytes:
    """What the browser gets, as in `app.components.head_grid.packing`.

    Of all strips in turn, row after row, the keys as 2-byte integers; then the attention to each
    of them as 2-byte integers, of which 65535 stands for 1.
    """
    header = {
        "key": key,
        "head": [head.layer, head.head],
        "width": strips[0].keys.shape[1],
        "strips": [
            {
                "title": strip.title,
                "note": strip.note,
                "labels": [display_token(label) for label in strip.labels],
                "start": strip.start,
            }
            for strip in strips
        ],
    }
    keys = b"".join(strip.keys.astype("<u2").tobytes() for strip in strips)
    shares = b"".join(np.rint(strip.attention * 65535).astype("<u2").tobytes() for strip in strips)
    return assemble(header, keys + shares)
