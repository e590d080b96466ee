"""A text box, and beside it what every head looks at in that text."""

import numpy as np
import streamlit as st

from analysis.definitions import PATTERN
from analysis.head import Head, all_heads
from app.components.head_grid.component import head_grid
from app.components.head_grid.view import HeadGridState
from app.compute import calls
from app.frame.clicks import open_head
from app.frame.export import Exhibit, pattern_table
from app.frame.frame import figure_frame, offer, part
from app.frame.layout import beside
from app.frame.paper import paper_grid
from app.frame.standing import grid_body
from app.links.parameters import PLAYED_PROMPT
from app.links.selection import Selection
from app.links.session import choose, widget_key
from app.links.subject import Subject
from app.pickers.heads import telling_head
from app.shell.page import move_view
from app.shell.scripts import script_component
from app.shell.theme import palette
from app.text import display_token

# Words for what a head may do, by the score that tells it; what is rare first.
_WORDS = {
    "induction": "induction",
    "previous": "previous token",
    "duplicate": "same token before",
    "first": "first token",
}
# The same of an encoder.
_WORDS_OF_ENCODER = {
    "previous": "previous token",
    "next": "next token",
    "copies": "same token elsewhere",
    "separator": "separators",
}
# A head counts as what its score is above this.
_CLEAR = 0.4
_HEIGHT = 400


def draw_text_and_heads(selection: Selection) -> None:
    """A text box, and beside it every head on that text; the text that comes first is played."""
    view = selection.with_values(input="prompt")
    way = "both ways" if selection.info.bidirectional else "back"
    with figure_frame(
        Subject(view, sequence=0),
        "What every head looks at",
        f"One small picture for each head: rows are tokens that look {way}, columns what they "
        "look at.",
        PATTERN,
        acts="Type a text of your own; point at heads, at tokens, and at words for what heads do.",
    ):
        left, right = beside("text-and-heads", 220, 760)
        with left:
            st.text_area(
                "Prompt",
                height=110,
                key=widget_key(selection, "prompt"),
                on_change=choose,
                kwargs={"input": "prompt"},
            )
            script_component("type_along")(key="headscope.type")
            st.caption(
                "Your own text stays the input on every page. Text that comes twice shows "
                "induction best: the second time, such a head looks at what came next the first "
                "time."
            )
        with right, part():
            focus = _draw_heads(telling_head(view), playing=view["prompt"] == PLAYED_PROMPT)
            if focus is not None:
                selection = move_view(selection, layer=focus.layer, head=focus.head)


def _scores_by_word(selection: Selection) -> dict[str, np.ndarray]:
    """Scores by the words for what they tell, of those that the text has."""
    if selection.info.bidirectional:
        known = calls.encoder_scores(selection).known
        return {word: known[name] for name, word in _WORDS_OF_ENCODER.items() if name in known}
    scores = calls.scores(selection)
    return {word: scores[name] for name, word in _WORDS.items() if not np.isnan(scores[name]).all()}


def _draw_heads(selection: Selection, playing: bool) -> Head | None:
    """The viewer; returns the head that the visitor has turned to, if it is another one."""
    info, shown = selection.info, Head(selection["layer"], selection["head"])
    labels = calls.tokens_of(selection).labels[0]
    every = calls.patterns(selection, 0, tuple(range(info.n_layers))).values[0]
    known = _scores_by_word(selection)
    view = head_grid(
        every,
        [display_token(label) for label in labels],
        key="first-look",
        scores=known,
        marks=dict.fromkeys(known, _CLEAR),
        view=HeadGridState(focus=shown),
        height=_HEIGHT,
        player="none" if info.bidirectional else "playing" if playing else "ready",
        bidirectional=info.bidirectional,
    )
    assert view.focus
    heads, of_all = every.reshape(-1, *every.shape[2:]), all_heads(info)
    names = [each.label for each in of_all]
    offer(
        Exhibit(
            "pattern",
            lambda: pattern_table(heads, names, labels),
            page=lambda name: grid_body(
                heads, of_all, labels, palette(), name, shown, bidirectional=info.bidirectional
            ),
            picture=lambda origin: paper_grid(
                heads, names, labels, origin, bidirectional=info.bidirectional
            ),
        )
    )
    open_head(selection, view.focus)
    return None if view.focus == shown else view.focus
