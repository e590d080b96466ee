"""CircuitsVis, embedded offline, escaped, and readable in both themes."""

import hashlib
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files

import numpy as np

from app.text import display_token, script_json

# Measured in headless Chromium: about 10,000 cells a second, so this many take some 4 seconds.
MAX_CELLS = 40_000
MAX_TOKENS = 120
# CircuitsVis grows with the page it is on; at a fixed width its height is known beforehand.
_WIDTH = 700
_PER_ROW = 6


def heads_that_fit(n_tokens: int) -> int:
    """How many heads CircuitsVis draws within a few seconds at this many tokens, at least 1."""
    return max(1, MAX_CELLS // min(n_tokens, MAX_TOKENS) ** 2)


def attention_heads(
    pattern: np.ndarray, labels: Sequence[str], names: Sequence[str], *, dark: bool
) -> tuple[str, int]:
    """CircuitsVis's `AttentionHeads` as a page of its own, and the height it needs in pixels.

    Args:
        pattern: [head, dest, src].
        labels: Tokens as the tokenizer gives them.
        names: One name per head.
        dark: Colours for Streamlit's dark theme.
    """
    if pattern.shape != (len(names), len(labels), len(labels)):
        raise ValueError(f"{pattern.shape} does not fit {len(names)} heads, {len(labels)} tokens")
    # Rounded in float64: in float32 the dropped digits would come back in the JSON.
    rounded = np.round(pattern.astype(np.float64), 3)
    return _page(rounded.tobytes(), pattern.shape, tuple(labels), tuple(names), dark)


@lru_cache(maxsize=16)  # about 1.5 MB each; an unchanged view keeps its frame and hover lock
def _page(
    values: bytes,
    shape: tuple[int, ...],
    labels: tuple[str, ...],
    names: tuple[str, ...],
    dark: bool,
) -> tuple[str, int]:
    properties = {
        "attention": np.frombuffer(values).reshape(shape).tolist(),
        "tokens": [display_token(label) for label in labels],
        "attentionHeadNames": list(names),
        "minValue": 0,
        "maxValue": 1,
        "maskUpperTri": True,
    }
    # CircuitsVis draws black on white only; inverting and turning the hue back keeps its colours.
    filter_rule = "filter: invert(0.92) hue-rotate(180deg);" if dark else ""
    # The element's id comes from the content: CircuitsVis's own is random, and a page that
    # differs at every run would be rebuilt by Streamlit.
    element = "cv-" + hashlib.sha256(values).hexdigest()[:12]
    html = (
        '<!doctype html><html><head><meta charset="utf-8"><style>'
        f"html{{background:#fff;{filter_rule}}}"
        f"body{{margin:8px auto;max-width:{_WIDTH}px;font-family:sans-serif}}"
        f'</style></head><body><div id="{element}"></div><script type="module">{_bundle()}\n'
        f'CircuitsVis.render("{element}", CircuitsVis.AttentionHeads, {script_json(properties)})'
        "</script></body></html>"
    )
    rows = -(-shape[0] // _PER_ROW)
    return html, 805 + 117 * rows


@cache
def _bundle() -> str:
    # The package's own script, inlined. Its `render_local` is not used: it puts tokens into the
    # script unescaped, and builds a version that loads from a network address as well.
    script = files("circuitsvis").joinpath("dist/cdn/iife.js").read_text(encoding="utf-8")
    return script.replace("</script", "<\\/script")
