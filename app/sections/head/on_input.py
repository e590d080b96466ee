"""The sections of one head's dossier that depend on the input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import (
    ABLATION,
    ATTRIBUTION,
    CHANCE,
    SCORE_SPLIT,
    SCORES,
    SOURCE_ATTRIBUTION,
    TOKEN_ABLATION,
)
from analysis.head import Head
from analysis.kept import kept_property
from analysis.models.reasons import scale_note
from app.compute import calls
from app.figures import base as figures
from app.figures import heads as head_figures
from app.frame.clicks import draw_choice
from app.frame.frame import Metric, draw, draw_metrics, draw_table, figure_frame, part
from app.frame.paper import paper_pattern
from app.links.selection import Selection
from app.links.session import choose, widget_key
from app.links.subject import Subject
from app.pickers.answer import answer_and_foil, pick_answer_and_foil
from app.pickers.heads import pick_layer_and_head
from app.pickers.method import METHODS, choose_method
from app.pickers.score import not_measured
from app.pickers.weighting import pick_weighting, weighted
from app.shell.theme import palette
from app.text import display_token, markdown_text, within
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.runs.inputs import Tokens


@dataclass(frozen=True)
class HeadView:
    """What every section is about: the head, and the sequence that is drawn."""

    selection: Selection
    head: Head
    tokens: Tokens
    row: int
    theme: Palette

    @classmethod
    def of(cls, selection: Selection, tokens: Tokens, row: int) -> HeadView:
        """The view of the head in focus."""
        return cls(selection, Head(selection["layer"], selection["head"]), tokens, row, palette())

    @property
    def subject(self) -> Subject:
        """The head on that sequence."""
        return Subject(self.selection, head=self.head, sequence=self.row)

    @property
    def labels(self) -> tuple[str, ...]:
        """Tokens of the sequence that is drawn."""
        return tuple(self.tokens.labels[self.row])

    @kept_property
    def pattern(self) -> np.ndarray:
        """The head's pattern there, [dest, src]."""
        layer = calls.patterns(self.selection, self.row, (self.head.layer,))
        return layer.values[0, 0, self.head.head]

    def named(self, position: int) -> str:
        """A position and its token, as text."""
        return f"{position} “{display_token(self.labels[position])}”"


def choose_head(selection: Selection) -> None:
    """Pickers of layer and head, and buttons with a key each for the neighbours."""
    info = selection.info
    here = selection["layer"] * info.n_heads + selection["head"]

    def step(by: int) -> None:
        layer, head = divmod((here + by) % (info.n_layers * info.n_heads), info.n_heads)
        choose(layer=layer, head=head)

    bar = st.container(horizontal=True, vertical_alignment="bottom")
    bar.button("Previous head", on_click=step, args=(-1,), shortcut="P")
    pick_layer_and_head(bar, selection)
    bar.button("Next head", on_click=step, args=(1,), shortcut="N")


def draw_pattern(view: HeadView, cell: tuple[int, int]) -> None:
    """The head's pattern; a click on a cell chooses what is explained."""
    clickable = len(view.labels) <= head_figures.MAX_CLICKABLE
    # Answer and foil have their fields further down, where all is about logits.
    pick_weighting(view.selection, answers=False)
    shown = weighted(view.selection, view.row, (view.head.layer,))
    with figure_frame(
        shown.about(view.subject),
        f"Where {view.head.label} looks",
        f"Each row is a destination and shows where it looks back to. {shown.reading}".strip(),
        shown.quantity,
        acts="Click a cell to ask why, below." if clickable else "Choose a cell by number, below.",
    ):
        pattern, cells = shown.values[0, view.head.head], shown.weighting
        figure = head_figures.pattern_cells(pattern, view.labels, view.theme, cell, cells)
        title = f"Pattern of {view.head.label}"

        def paper(origin: str) -> bytes:
            return paper_pattern(pattern, view.labels, title, origin, weighting=cells)

        draw_choice(figure, "pattern", ("dest", "src"), paper)


def draw_scores(view: HeadView) -> None:
    """Every score of the head, beside chance and the other heads."""
    scores = calls.scores(view.selection)
    at = (view.head.layer, view.head.head)
    rows = []
    for name in SCORES:
        values = scores[name]
        if not np.isnan(values[at]):
            rows.append(
                {
                    "Score": name.capitalize(),
                    "Value": float(values[at]),
                    "Chance": scores.chance[name],
                    "Rank": f"{1 + int((values > values[at]).sum())} of {values.size}",
                }
            )
    older = not_measured(*scores.not_measured)
    missing = len(rows) + len(scores.not_measured) < len(SCORES)
    with figure_frame(
        Subject(view.selection, head=view.head),
        "Scores",
        "Rank 1 is the highest of all heads."
        + " No token comes twice here." * missing
        + f" {older}" * bool(older),
        *SCORES.values(),
    ):
        draw_table(
            rows,
            "scores",
            {name: st.column_config.NumberColumn(format="%.3f") for name in ("Value", "Chance")},
        )
        st.caption(CHANCE)


def draw_split(view: HeadView, cell: tuple[int, int]) -> None:
    """Why the head attends where it does: one score, by upstream component."""
    dest, src = cell
    with figure_frame(
        replace(view.subject, dest=dest, src=src),
        "Why does it attend there?",
        "The score before softmax, by the component that wrote what the query and the key are "
        "made of. Only differences between sources of one destination count.",
        SCORE_SPLIT,
    ):
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        shown = widget_key(view.selection, "dest", shown=dest)
        bar.number_input("Destination (query)", 0, len(view.labels) - 1, key=shown, width=170)
        shown = widget_key(view.selection, "src", shown=src)
        bar.number_input("Source (key)", 0, dest, key=shown, width=170)
        with part():
            split = calls.score_split(view.selection, view.row, view.head, dest, src)
            st.markdown(
                f"From {markdown_text(view.named(dest))} to {markdown_text(view.named(src))}: "
                f"attention **{view.pattern[dest, src]:.3f}**, score **{split.score:+.2f}**. "
                "The bars on either side sum to that score."
            )
            sides = zip(("query", "key"), (split.query_side, split.key_side), strict=True)
            for column, (side, values) in zip(st.columns(2), sides, strict=True):
                column.markdown(f"**{side.capitalize()} side**, sum {values.sum():+.2f}")
                with column:
                    draw(head_figures.side_bars(values, split.labels, view.theme), key=side)


def draw_logits(view: HeadView) -> None:
    """What the head adds to a token's logit, by position and by source."""
    selection = view.selection
    asked = answer_and_foil(selection)
    with (
        figure_frame(
            replace(view.subject, answer=asked.answer, foil=asked.foil),
            "What it adds to the logits",
            "By default towards the token that really comes next, at every position; after the "
            "end, towards the model's own top guess.",
            SOURCE_ATTRIBUTION,
            also=(ATTRIBUTION,),
        ),
        part(),
    ):
        pick_answer_and_foil(selection)
        answer, foil = asked.checked()
        result = calls.source_attribution(selection, view.row, view.head, answer, foil)
        total, targets = result.total[0], result.targets[0]
        towards = [texts[0] for texts in calls.token_labels(selection, targets[:, None])]
        at = view.labels[: len(total)]
        if note := scale_note(selection.info):
            st.caption(note)
        draw(head_figures.position_bars(total, at, towards, view.theme), key="logits")
        st.caption(
            "The same by source: each row of this map sums to the bar of its position "
            f"{within(result.error)}. Blue pushes towards the token, red away from it."
        )
        draw(
            figures.pattern_map(result.values[0], at, view.theme, unit="logits"),
            key="sources",
        )


def draw_ablation(view: HeadView) -> None:
    """How much worse the model gets without the head."""
    repeated = view.tokens.half_length is not None
    where = "the predictable tokens of the second half" if repeated else "all tokens of the prompt"
    with figure_frame(
        Subject(view.selection, head=view.head),
        "What breaks without it",
        f"Loss over {where}, in nats per token; how much it rises without the head, and at each "
        "prediction. Blue: the model needs the head.",
        TOKEN_ABLATION,
        ABLATION,
    ):
        method = choose_method(view.selection, "What its output is replaced by")
        with part():
            chosen = calls.head_ablation(view.selection, view.head, method)
            effects = {
                kind: calls.head_ablation(view.selection, view.head, kind).value for kind in METHODS
            }
            draw_metrics(
                [
                    Metric("All heads", chosen.clean_loss, f"{chosen.clean_loss:.3f}"),
                    *(
                        Metric(f"{kind.capitalize()} instead", effect, f"{effect:+.3f}")
                        for kind, effect in effects.items()
                    ),
                ],
                "losses",
            )
            if method == "zero" and (note := calls.replacement_note(view.selection, "mean")):
                st.caption(note)
            labels = view.labels if view.tokens.batch == 1 else None
            half = view.tokens.half_length
            draw(figures.effect_line(chosen.per_token, labels, half, view.theme), key="per-token")
