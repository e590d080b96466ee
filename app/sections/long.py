"""One long text: all heads by tiles, one token over all of it, and exact cells around both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from analysis.definitions import PATTERN_ROWS, PATTERN_TILES
from analysis.head import Head, all_heads
from analysis.heads.corpus.texts import SHIPPED, SHIPPED_FILE
from analysis.limits import MAX_LONG_CHARACTERS
from app.components.head_grid.component import head_grid
from app.components.head_grid.view import HeadGridState
from app.components.progress import wanted
from app.compute import calls
from app.figures import long as figures
from app.frame.clicks import draw_choice
from app.frame.export import Exhibit, pattern_table
from app.frame.frame import draw, figure_frame, offer
from app.frame.paper import paper_grid
from app.frame.standing import grid_body
from app.links.parsers import Value
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.sequence import position_of
from app.sections.shared.cancel import stoppable
from app.shell.page import move_view
from app.shell.theme import palette
from app.text import display_token, markdown_text

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from analysis.runs.by_rows import PatternTiles
    from analysis.tokens import Tokens

# Exact cells along a side, and characters of a tile's label.
WINDOW, _LABEL = 96, 12
_LEARNED = "Its positions are learned vectors, and there is none for a later one."


@dataclass(frozen=True)
class LongView:
    """What every section is about."""

    selection: Selection
    tokens: Tokens

    @property
    def labels(self) -> tuple[str, ...]:
        """The tokens."""
        return self.tokens.labels[0]

    @property
    def head(self) -> Head:
        """The head that is looked at."""
        return Head(self.selection["layer"], self.selection["head"])


def about(selection: Selection, **choices: Any) -> Subject:
    """What a figure is about: the text, and what of it."""
    file = f"analysis/heads/corpus/{SHIPPED_FILE.name}"
    name = name_of(selection)
    return Subject(selection, sequence=0, text=name, text_file=file, **choices)


def name_of(selection: Selection) -> str:
    """What the text is called."""
    return "your own text" if selection["long"] else SHIPPED


def choose_text(selection: Selection) -> LongView:
    """The text, and how much of it is read.

    Raises:
        AnalysisError: A text that cannot be read.
    """
    info = selection.info
    st.caption(_limits(info))
    with st.popover("Read another text", width="content"):
        st.text_area(
            f"Your own, at most {MAX_LONG_CHARACTERS:,} characters",
            height=200,
            key=widget_key(selection, "long"),
            help="Empty it to get the novel back. A text that is too long for a link stays in this "
            "session.",
        )
    most = info.longest_by_rows
    st.slider(
        "Tokens read",
        2,
        most,
        key=widget_key(selection, "upto", shown=min(selection["upto"], most)),
        width=420,
    )
    tokens = calls.long_tokens(selection)
    st.markdown(
        f"**{markdown_text(name_of(selection))}** · the first {tokens.length:,} tokens, up to "
        f"“…{markdown_text(display_token(''.join(tokens.labels[0][-6:])))}”"
    )
    return LongView(selection, tokens)


def _limits(info: ModelInfo) -> str:
    """How long a text this model takes, and why."""
    longest = info.longest_by_rows
    said = [f"{markdown_text(info.title)} reads at most {longest:,} tokens of a text."]
    if longest > info.n_ctx:
        said.append(
            f"Other pages hold whole patterns and take {info.n_ctx:,}; here no more than a few "
            "rows are there at once."
        )
        more = "It takes {:,}; more are not read here."
        said.append(
            more.format(info.own_context)
            if info.own_context > longest
            else "Its configuration allows no more."
        )
    elif info.shorter:
        said.append(info.shorter)
    elif info.positions in ("learned", "shortformer"):
        said.append(_LEARNED)
    return " ".join(said)


def draw_tiles(view: LongView) -> LongView | None:
    """Every head by the largest attention in each tile; None until it is asked for.

    Raises:
        AnalysisError: It was cancelled, or the model is not run on so long a text.
    """
    info, labels = view.selection.info, view.labels
    if not wanted(info, view.tokens.ids, "Read the text", 1.5):
        return None
    with stoppable("Reading the text") as progress:
        tiles = calls.pattern_tiles(view.selection, progress)
    said = (
        f"Each cell is the largest attention within {tiles.side} × {tiles.side} tokens, so that "
        "a stripe of a single token's width stays as bright as it is."
        if tiles.side > 1
        else "Each cell is one destination and one source."
    )
    with figure_frame(
        about(view.selection),
        "Every head over the text",
        f"One small picture for each head: rows are destinations, columns sources. {said}",
        PATTERN_TILES,
        acts="Click a small picture to see that head below; click a stretch of the text to see its "
        "last token below.",
    ):
        names = [_tile_label(tiles, labels, i) for i in range(tiles.values.shape[2])]
        dest = view.selection["dest"]
        locked = () if dest is None or dest >= len(labels) else (dest // tiles.side,)
        shown = head_grid(
            tiles.values,
            names,
            key="long-grid",
            view=HeadGridState(focus=view.head, tokens=locked),
        )
        of_all, focus = all_heads(info), view.head
        heads = [head.label for head in of_all]
        every = tiles.values.reshape(-1, *tiles.values.shape[2:])
        offer(
            Exhibit(
                "tiles",
                lambda: pattern_table(every, heads, names, "attention"),
                page=lambda name: grid_body(every, of_all, names, palette(), name, focus),
                picture=lambda origin: paper_grid(every, heads, names, origin),
            )
        )
    assert shown.focus
    values: dict[str, Value] = {"layer": shown.focus.layer, "head": shown.focus.head}
    if shown.tokens != locked:
        last = shown.tokens[-1] if shown.tokens else None
        values |= {"dest": None if last is None else tiles.tokens(last)[-1], "src": None}
    return LongView(move_view(view.selection, **values), view.tokens)


def _tile_label(tiles: PatternTiles, labels: tuple[str, ...], tile: int) -> str:
    """Its tokens; of many the positions and how they begin."""
    own = tiles.tokens(tile)
    if len(own) == 1 and tiles.side == 1:
        return display_token(labels[own[0]])
    text = display_token("".join(labels[i] for i in own[:4]))[:_LABEL]
    return f"{own[0]}–{own[-1]} {text}… "


def draw_row(view: LongView) -> None:
    """One token's attention over the whole text, and exact cells around what it attends to.

    Raises:
        AnalysisError: It was cancelled.
    """
    selection, labels, head = view.selection, view.labels, view.head
    last = len(labels) - 1
    dest = position_of(selection, "dest", last + 1, last)
    start = max(0, dest + 1 - WINDOW)
    with stoppable(f"Reading up to token {dest}", f"{head.label} {dest}") as progress:
        rows = calls.pattern_rows(selection, head, start, dest + 1, progress)
    row = rows.values[-1]
    strongest = int(row[1:].argmax()) + 1 if dest else 0
    src = position_of(selection, "src", dest + 1, min(strongest, dest))
    subject = about(selection, head=head, dest=dest)
    with figure_frame(
        subject,
        f"{head.label} from one token",
        f"Where {head.label} looks from token {dest}, “{display_token(labels[dest])}”, over all "
        f"{dest + 1:,} sources. Spread evenly it would be {1 / (dest + 1):.4f} each; it gives "
        f"{row[0]:.3f} to the first.",
        PATTERN_ROWS,
        acts="Click a point to see the cells around it.",
    ):
        bar = st.container(horizontal=True)
        for title, key, at, most in (
            ("From (destination)", "dest", dest, last),
            ("To (source)", "src", src, dest),
        ):
            bar.number_input(
                title, 0, most, step=1, key=widget_key(selection, key, shown=at), width=170
            )
        draw_choice(figures.row_line(row, labels, src, palette()), "row", ("src",))
    low = max(0, min(src - WINDOW // 2, last + 1 - WINDOW))
    sources = range(low, min(last + 1, low + WINDOW))
    with figure_frame(
        subject,
        f"{head.label}: exact cells",
        f"Destinations {start} to {dest}, sources {sources[0]} to {sources[-1]}: every cell as it "
        "is.",
        PATTERN_ROWS,
        acts="Hover a cell for both tokens.",
    ):
        cells = rows.values[:, sources.start : sources.stop]
        draw(
            figures.window_map(
                np.asarray(cells), labels, range(start, dest + 1), sources, palette()
            ),
            "cells",
        )
