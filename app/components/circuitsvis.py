"""CircuitsVis, embedded offline, escaped, and readable in both themes."""

import math
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from app.text import display_token, inert_html, script_json

# Measured in headless Chromium: about 10,000 cells a second, so this many take some 4 seconds.
MAX_CELLS = 40_000
MAX_TOKENS = 120
# CircuitsVis grows with the page it is on; at a fixed width its height is known beforehand.
_WIDTH = 700
_PER_ROW = 6
# Neurons side by side: as many columns as its table of tokens starts with.
COLUMNS = 5
TOP_TOKENS = 8
_ELEMENT = "view"
_START = f"""
const view = JSON.parse(document.getElementById("data").textContent);
CircuitsVis.render("{_ELEMENT}", CircuitsVis[view.component], view.properties);
"""


def heads_that_fit(n_tokens: int) -> int:
    """How many heads CircuitsVis draws within a few seconds at this many tokens, at least 1."""
    return max(1, MAX_CELLS // min(n_tokens, MAX_TOKENS) ** 2)


def attention_heads(
    pattern: np.ndarray, labels: Sequence[str], names: Sequence[str], *, dark: bool, top: float = 1
) -> tuple[str, int]:
    """CircuitsVis's `AttentionHeads` as a page of its own, and the height it needs in pixels.

    Args:
        pattern: [head, dest, src]: attention, or weighted attention of any size and sign.
        labels: Tokens as the tokenizer gives them.
        names: One name per head.
        dark: Colours for Streamlit's dark theme.
        top: The size that full colour stands for: blue above 0, red below.
    """
    if pattern.shape != (len(names), len(labels), len(labels)):
        raise ValueError(f"{pattern.shape} does not fit {len(names)} heads, {len(labels)} tokens")
    values = _rounded(pattern, top)
    return _page(values.tobytes(), pattern.shape, tuple(labels), tuple(names), dark, top)


@lru_cache(maxsize=16)  # about 1.5 MB each; an unchanged view keeps its frame and hover lock
def _page(
    values: bytes,
    shape: tuple[int, ...],
    labels: tuple[str, ...],
    names: tuple[str, ...],
    dark: bool,
    top: float,
) -> tuple[str, int]:
    properties = {
        "attention": np.frombuffer(values).reshape(shape).tolist(),
        "tokens": [display_token(label) for label in labels],
        "attentionHeadNames": list(names),
        # Each sign is mixed with white by its own end: with unlike ends, alike sizes would differ.
        "minValue": -top,
        "maxValue": top,
        "maskUpperTri": True,
    }
    rows = -(-shape[0] // _PER_ROW)
    return _html("AttentionHeads", properties, dark), 805 + 117 * rows


def text_neuron_activations(
    values: np.ndarray, labels: Sequence[str], layer: int, neurons: Sequence[int], *, dark: bool
) -> str:
    """CircuitsVis's `TextNeuronActivations` as a page of its own: one layer, the first neuron.

    Args:
        values: [pos, neuron], one column for each of `neurons`.
        labels: Tokens as the tokenizer gives them.
        layer: The layer, for its label.
        neurons: Their numbers; the others are in a drop-down.
        dark: Colours for Streamlit's dark theme.
    """
    _require_shape(values, labels, neurons)
    properties = {
        "tokens": _inert(labels),
        "activations": _rounded(values)[:, None].tolist(),
        "firstDimensionLabels": [str(layer)],
        "secondDimensionLabels": list(map(str, neurons)),
    }
    return _html("TextNeuronActivations", properties, dark, _CONTROLS)


def topk_tokens(
    values: np.ndarray, labels: Sequence[str], layer: int, neurons: Sequence[int], *, dark: bool
) -> str:
    """CircuitsVis's `TopkTokens` as a page of its own, `COLUMNS` neurons side by side.

    Arguments as for `text_neuron_activations`; neurons after the first `COLUMNS` are left out.
    Its colours end at 1, so activations are given as shares of the highest one.
    """
    _require_shape(values, labels, neurons)
    values, neurons = values[:, :COLUMNS], neurons[:COLUMNS]
    values = values / max(float(values.max(initial=0)), 1e-6)
    order = np.argsort(-values, axis=0, kind="stable")
    top, bottom = order[:TOP_TOKENS], order[-TOP_TOKENS:]

    def sample(places: np.ndarray) -> list[list[list[list[float]]]]:
        # With a single sample it draws one column only, so the same sample stands there twice.
        return [[places.tolist()]] * 2

    rounded = _rounded(values)
    properties = {
        "tokens": [_inert(labels)] * 2,
        "topkVals": sample(np.take_along_axis(rounded, top, 0)),
        "topkIdxs": sample(top),
        "bottomkVals": sample(np.take_along_axis(rounded, bottom, 0)),
        "bottomkIdxs": sample(bottom),
        "firstDimensionLabels": [str(layer)],
    }
    # It numbers its columns from 0 and takes no names for them; and there is nothing to choose
    # but how many tokens are listed.
    heads = "".join(
        f'thead tr:nth-child(2) th:nth-child({i + 2})::after{{content:"{neuron:d}"}}'
        for i, neuron in enumerate(neurons)
    )
    unused = ",".join(
        f"div:has(>label[for={name}-selector])" for name in ("sample", "neuron", "visibleCols")
    )
    style = (
        f"{_CONTROLS}thead tr:nth-child(2) th{{font-size:0}}"
        f"thead tr:nth-child(2) th::after{{font-size:16px}}{heads}{unused}{{display:none}}"
        "table{margin-left:0!important}td{padding:2px 6px}"
        "td>span{max-width:9em;overflow:hidden;text-overflow:ellipsis}"
        # Five columns fit into a narrow window, too.
        "@media(max-width:560px){td{font-size:12px;padding:2px}td>span{max-width:5em}}"
    )
    return _html("TopkTokens", properties, dark, style)


# Its selectors are smaller than the text around them.
_CONTROLS = "select{font:inherit}"


def _require_shape(values: np.ndarray, labels: Sequence[str], neurons: Sequence[int]) -> None:
    if values.shape != (len(labels), len(neurons)):
        raise ValueError(
            f"{values.shape} does not fit {len(labels)} tokens, {len(neurons)} neurons"
        )


def _rounded(values: np.ndarray, top: float = 1) -> np.ndarray:
    """Values with three digits of `top`."""
    # In float64: in float32 the dropped digits would come back in the JSON.
    return np.round(values.astype(np.float64), 3 - math.floor(math.log10(top)))


def _inert(labels: Sequence[str]) -> list[str]:
    # These components put tokens into the page as HTML, and as text into the hover.
    return [inert_html(display_token(label)) for label in labels]


def _html(component: str, properties: Mapping[str, object], dark: bool, style: str = "") -> str:
    # CircuitsVis draws black on white only; inverting and turning the hue back keeps its colours.
    filter_rule = "filter: invert(0.92) hue-rotate(180deg);" if dark else ""
    # Streamlit keeps a frame whose page is the same, so nothing here is random. What differs from
    # view to view is data, which the browser never runs: of a script only `script()` will do.
    data = script_json({"component": component, "properties": properties})
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CircuitsVis</title>'
        f"<style>html{{background:#fff;{filter_rule}}}"
        f"body{{margin:8px auto;max-width:{_WIDTH}px;font-family:sans-serif}}{style}"
        f'</style></head><body><div id="{_ELEMENT}"></div>'
        f'<script type="application/json" id="data">{data}</script>'
        f'<script type="module">{script()}</script></body></html>'
    )


@cache
def script() -> str:
    """The script of every such page, to the letter: the security policy names it by its hash."""
    # The package's own script, inlined. Its `render_local` is not used: it puts tokens into the
    # script unescaped, and builds a version that loads from a network address as well.
    # Nor is the package imported: it would bring torch along, for which the first page waits.
    package = find_spec("circuitsvis")
    assert package is not None and package.origin is not None
    path = Path(package.origin).parent / "dist" / "cdn" / "iife.js"
    bundle = path.read_text(encoding="utf-8")
    return bundle.replace("</script", "<\\/script") + _START
