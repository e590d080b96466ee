"""The app's own viewers as widgets of a notebook, by anywidget: the same scripts and styles."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import numpy as np
import traitlets
from IPython.display import display

from analysis.head import Head
from app.components.head_grid.packing import extent
from app.components.head_grid.payload import grid_payload
from app.components.head_grid.view import HeadGridState
from app.components.pattern_pair.payload import Pane, pair_payload
from app.components.scripts import joined
from app.frame.paper import paper_grid, paper_pattern
from app.notebook.arrays import CheckedPatterns
from app.text import display_text, display_token, escape_html
from app.theme import DARK, LIGHT

_COMPONENTS = Path(__file__).parents[1] / "components"
_GRID, _PAIR = _COMPONENTS / "head_grid", _COMPONENTS / "pattern_pair"
# Cells of the still picture: 96 heads of 100 tokens. Of more it has the first heads.
_MOST_CELLS = 1_000_000


def _styles(*files: Path) -> str:
    themes = _COMPONENTS / "js" / "notebook.css"
    return "".join(file.read_text(encoding="utf-8") for file in (*files, themes))


class _Viewer(anywidget.AnyWidget):
    """A viewer of the app's; what Python sent and the styles go to the browser."""

    payload = traitlets.Bytes().tag(sync=True)
    styles = traitlets.Unicode().tag(sync=True)
    # The class of the still picture, which the browser hides while it shows the viewer.
    still = traitlets.Unicode().tag(sync=True)

    def __init__(self, payload: bytes, styles: str):
        still = f"headscope-still-{uuid4().hex}"
        super().__init__(payload=payload, styles=styles, still=still)

    def _pictures(self) -> list[tuple[bytes, str]]:
        """Pictures as SVG, each with what it shows."""
        raise NotImplementedError

    def still_html(self) -> str:
        """Pictures for where nothing runs; in an image no script could, whatever it holds."""
        return "".join(
            f'<img class="{self.still}" alt="{escape_html(words)}" '
            'style="max-width:100%;background:#fff" '
            f'src="data:image/svg+xml;base64,{b64encode(drawing).decode()}">'
            for drawing, words in self._pictures()
        )

    def _ipython_display_(self) -> None:
        # Two outputs: of one that holds both JupyterLab shows the widget, also where it is gone.
        bundle = self._repr_mimebundle_()
        # Colab reads beside the widget's number what can draw it.
        data, beside = bundle if isinstance(bundle, tuple) else (bundle, None)
        display(data, metadata=beside, raw=True)
        display({"text/html": self.still_html(), "text/plain": ""}, raw=True)


class HeadViewer(_Viewer):
    """Every head of one sequence; what is looked at comes back.

    Attributes:
        focus: The head in the large picture.
        locked: The heads that are locked.
        tokens: Positions of the locked tokens; of two texts, in the one that `direction` says.
        direction: "dest" where the text is coloured by what a token attends to, "src" by what
            attends to it.
    """

    _esm = joined(_GRID / "js" / "page" / "grid_widget.js")
    view = traitlets.Dict().tag(sync=True)
    focus = traitlets.Instance(Head, read_only=True)
    locked = traitlets.List(traitlets.Instance(Head), read_only=True)
    tokens = traitlets.List(traitlets.Int(), read_only=True)
    direction = traitlets.Unicode("dest", read_only=True)

    def __init__(
        self,
        patterns: CheckedPatterns,
        labels: Sequence[str],
        scores: Mapping[str, np.ndarray],
        height: int,
        sources: Sequence[str] | None = None,
    ):
        longest = max(patterns.values.shape[2:])
        shown = extent(len(patterns.heads), longest, patterns.bidirectional)
        self._bidirectional = patterns.bidirectional
        self._heads = patterns.heads[: shown.heads]
        self._labels = list(labels[: shown.tokens])
        self._sources = None if sources is None else list(sources[: shown.tokens])
        every = patterns.values.reshape(-1, *patterns.values.shape[2:])
        self._patterns = every[: shown.heads, : shown.tokens, : shown.tokens]
        opened = HeadGridState().within(self._heads, len(self._labels))
        payload = grid_payload(
            self._patterns,
            [display_token(label) for label in self._labels],
            self._heads,
            key=uuid4().hex,
            scores={name: values.reshape(-1)[: shown.heads] for name, values in scores.items()},
            marks={},
            note=shown.note,
            height=height,
            report=True,
            bidirectional=patterns.bidirectional,
            sources=self._sources and [display_token(label) for label in self._sources],
            command={"number": 0, **opened.to_json()},
        )
        super().__init__(payload=payload, styles=_styles(_GRID / "head_grid.css"))
        self._take(opened)

    @traitlets.observe("view")
    def _hear(self, change: Any) -> None:
        """What a browser reports, if it is a view of what is shown."""
        state = HeadGridState.from_browser(change.new)
        if state is not None:
            chosen_from = self._labels
            if self._sources and state.direction == "src":
                chosen_from = self._sources
            self._take(state.within(self._heads, len(chosen_from)))

    def _take(self, state: HeadGridState) -> None:
        with self.hold_trait_notifications():
            self.set_trait("focus", state.focus)
            self.set_trait("locked", list(state.locked))
            self.set_trait("tokens", list(state.tokens))
            self.set_trait("direction", state.direction)

    def _pictures(self) -> list[tuple[bytes, str]]:
        n = len(self._labels)
        m = len(self._sources or self._labels)
        count = max(1, min(len(self._heads), _MOST_CELLS // (n * m)))
        names = [head.label for head in self._heads[:count]]
        said = (
            "" if count == len(self._heads) else f"The first {count} of {len(self._heads)} heads."
        )
        drawing = paper_grid(
            self._patterns[:count],
            names,
            self._labels,
            said,
            bidirectional=self._bidirectional,
            sources=self._sources,
        )
        tokens = f"from {n} to {m} tokens" if self._sources else f"on {n} tokens"
        return [(drawing, f"Attention of {names[0]} to {names[-1]} {tokens}. {said}".strip())]


class PairViewer(_Viewer):
    """Two patterns and their difference, with one pointer for all."""

    _esm = joined(_PAIR / "js" / "page" / "pair_widget.js")

    def __init__(self, first: Pane, second: Pane):
        self._panes = (first, second)
        payload = pair_payload(first, second, LIGHT, on_dark=DARK)
        super().__init__(payload=payload, styles=_styles(_PAIR / "pattern_pair.css"))

    def _pictures(self) -> list[tuple[bytes, str]]:
        pictures = []
        for pane in self._panes:
            shown = extent(1, len(pane.labels)).tokens
            pattern, labels = pane.pattern[:shown, :shown], pane.labels[:shown]
            drawing = paper_pattern(pattern, labels, display_text(pane.title), "")
            pictures.append((drawing, f"Attention pattern: {display_text(pane.title)}"))
        return pictures
