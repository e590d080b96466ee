"""The head grid in a page of its own: live, and as pictures for paper and where nothing runs."""

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from analysis.definitions import ATTENTION, Weighting
from analysis.head import Head
from app.components import head_grid
from app.components.head_grid.packing import extent
from app.components.head_grid.payload import grid_payload
from app.components.head_grid.view import HeadGridState
from app.components.scripts import joined
from app.figures.pixels import pattern_picture
from app.frame.export import element_id
from app.text import display_token, escape_html, numbered, script_json
from app.theme import Palette

_FOLDER = Path(head_grid.__file__).parent
_HEIGHT = 560
# Sans a live viewer, or on paper, the pictures; else the viewer.
_ONE_OF_TWO = (
    "<style>@media screen{.hs-live+.hs-still{display:none}}@media print{.hs-live{display:none}}"
    "</style>"
)


def grid_body(
    patterns: Float[np.ndarray, "head dest src"],
    heads: Sequence[Head],
    labels: Sequence[str],
    palette: Palette,
    name: str,
    focus: Head,
    weighting: Weighting = ATTENTION,
    most: float = 1,
    bidirectional: bool = False,
) -> str:
    """The viewer with its data inside, and behind it pictures of the same.

    Args:
        patterns: One for each head.
        heads: Which they are.
        labels: The tokens.
        palette: The theme of the page.
        name: Of the page's file; different for each viewer of a page.
        focus: The head in the large picture.
        weighting: What the cells are.
        most: The size that full colour stands for.
        bidirectional: Whether tokens attend to later ones too, as in an encoder.
    """
    shown = extent(len(heads), len(labels), bidirectional)
    some, n = list(heads[: shown.heads]), shown.tokens
    state = HeadGridState(focus=focus).within(some, n)
    payload = grid_payload(
        patterns[: shown.heads, :n, :n],
        [display_token(label) for label in labels[:n]],
        some,
        key=name,
        scores={},
        marks={},
        note=shown.note,
        height=_HEIGHT,
        report=False,
        weighting=weighting,
        top=most,
        bidirectional=bidirectional,
        command={"number": 0, **state.to_json()},
    )
    place = element_id("viewer", name)
    handed = (place, _styles(palette), b64encode(payload).decode())
    live = f"standAlone({', '.join(map(script_json, handed))});"
    still = still_grid(patterns, [h.label for h in heads], labels, palette, weighting, most)
    return (
        f'{_ONE_OF_TWO}<div id="{place}"></div><div class="hs-still">{still}</div>'
        f'<script type="module">{_script()}\n{live}</script>'
    )


@cache
def _script() -> str:
    return joined(_FOLDER / "js" / "page" / "grid_page.js")


def _styles(palette: Palette) -> str:
    """The component's own, with what Streamlit's theme says elsewhere."""
    theme = (
        f":host{{--st-text-color:{palette.text};--st-background-color:{palette.background};"
        f"--st-primary-color:{palette.sequential[-2]};--st-font:system-ui,sans-serif;"
        "--st-code-font:ui-monospace,monospace;display:block}"
    )
    return (_FOLDER / "head_grid.css").read_text(encoding="utf-8") + theme


def still_grid(
    patterns: np.ndarray,
    names: Sequence[str],
    labels: Sequence[str],
    palette: Palette,
    weighting: Weighting = ATTENTION,
    most: float = 1,
) -> str:
    """Pictures of all heads with their names, a scale, and the tokens: for where nothing runs."""
    size, signed = max(96, patterns.shape[-1]), weighting.signed
    figures = "".join(
        f'<figure style="margin:0"><img alt="" width="{size}" height="{size}" '
        'style="image-rendering:pixelated" '
        f'src="{pattern_picture(pattern / most, palette, signed)}">'
        f"<figcaption>{escape_html(name)}</figcaption></figure>"
        for pattern, name in zip(patterns, names, strict=True)
    )
    colours = palette.diverging if signed else palette.sequential
    scale, tokens = ",".join(colours), "  ".join(numbered(labels))
    low, high = (f"{end:.3g}" for end in (-most if signed else 0, most))
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:.7rem">{figures}</div>'
        f"<p>{weighting.unit.capitalize()}: {low} "
        '<span style="display:inline-block;width:10rem;height:.8rem;'
        f'background:linear-gradient(90deg,{scale})"></span> {high}. '
        "Rows are destinations (queries), downwards; columns are sources (keys).</p>"
        f"<p>Tokens: {escape_html(tokens)}</p>"
    )
