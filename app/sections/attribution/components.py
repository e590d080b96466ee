"""The sections of the page on attribution: which components push towards a token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import ATTRIBUTION, LAYER_ATTRIBUTION, LENS
from analysis.errors import AnalysisError
from analysis.models.reasons import scale_note
from app.components.progress import asked_for
from app.compute import calls
from app.figures import attribution as layer_figures
from app.figures import base as figures
from app.figures.lens import MAX_UNASKED, lens_map, lens_width
from app.frame.clicks import draw_choice, draw_linked_heads
from app.frame.frame import draw, draw_wide, figure_frame, part
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.answer import answer_and_foil
from app.pickers.sequence import position_of
from app.shell.theme import palette
from app.text import display_token, within
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.head import Head
    from analysis.logits.attribution import Attribution
    from analysis.runs.inputs import Tokens


@dataclass(frozen=True)
class AttributionView:
    """What every section is about: the logits that are split, on one sequence, at one position."""

    selection: Selection
    row: int
    labels: tuple[str, ...]
    result: Attribution
    towards: tuple[str, ...]  # the token that each position's logit is of, with the foil's
    position: int
    open_end: bool  # whether the last position is explained by the model's own guess
    theme: Palette

    @classmethod
    def of(cls, selection: Selection, tokens: Tokens, row: int) -> AttributionView:
        """The view of a selection, at the end of a prompt unless another position is chosen.

        Raises:
            AnalysisError: Answer or foil is not one token, or the model's logits are no such sum.
        """
        answer, foil = answer_and_foil(selection).checked()
        result = calls.attribution(selection, row, answer, foil)
        found = calls.token_labels(selection, result.targets[0][:, None])
        towards = [texts[0] for texts in found]
        if foil is not None:
            towards = [f"{target}” rather than “{selection['foil']}" for target in towards]
        last = len(towards) - 1
        # What came is known of repeated tokens; a prompt is written to see how it goes on.
        known = selection["input"] == "repeated" and answer is None
        return cls(
            selection,
            row,
            tuple(tokens.labels[row]),
            result,
            tuple(towards),
            position_of(selection, "position", last + 1, max(last - known, 0)),
            answer is None,
            palette(),
        )

    @property
    def subject(self) -> Subject:
        """Every position."""
        answer, foil = answer_and_foil(self.selection).checked()
        return Subject(self.selection, sequence=self.row, answer=answer, foil=foil)

    @property
    def here(self) -> Subject:
        """The position that is chosen."""
        return replace(self.subject, dest=self.position)

    @property
    def values(self) -> np.ndarray:
        """What each component adds at the position that is chosen, [component]."""
        at_position: np.ndarray = self.result.values[0, self.position]
        return at_position

    @property
    def goal(self) -> str:
        """The token whose logit is split at the position that is chosen, as plain text."""
        quoted = f"“{display_token(self.towards[self.position])}”"
        at_end = self.open_end and self.position == len(self.towards) - 1
        return f"{quoted}, the model's own top guess for what comes next" if at_end else quoted

    @property
    def by_name(self) -> bool:
        """Whether a figure has room for the name of every component."""
        return len(self.result.labels) <= layer_figures.MAX_NAMED

    @property
    def layer(self) -> int:
        """The layer that is opened; where none is chosen, the one whose heads add most."""
        asked = self.selection["layer"]
        totals = self.result.by_layer.attention[0, self.position]
        return int(np.abs(totals).argmax()) if asked is None else int(asked)

    def require_difference(self) -> None:
        """Refuse a position at which answer and foil are one token.

        Raises:
            AnalysisError: They are.
        """
        targets, foils = self.result.targets[0], self.result.foils
        if foils is not None and targets[self.position] == foils[0, self.position]:
            raise AnalysisError(
                "Here the answer is the foil itself, so there is no difference to explain. Take "
                "another position, or type an answer."
            )


def draw_check(view: AttributionView) -> None:
    """How far the parts are from the whole, and what is held fixed for them."""
    difference = view.result.foils is not None
    st.caption(
        f"Check: the components of each row sum to the model's own "
        f"{'logit difference' if difference else 'logit'} {within(view.result.error)}"
        + (
            ", after taking off the unembedding bias b_U."
            if view.result.unembed_bias.any()
            else "."
        )
        + f" {scale_note(view.selection.info)}"
    )


def _title(view: AttributionView) -> str:
    return f"One position: after “{display_token(view.labels[view.position])}”"


def draw_components(view: AttributionView) -> None:
    """A bar for each component at one position."""
    with (
        figure_frame(
            view.here,
            _title(view),
            f"What each component adds to the logit of {view.goal}; "
            f"the bars sum to {view.values.sum():.2f}.",
            ATTRIBUTION,
        ),
        part(),
    ):
        view.require_difference()
        draw(figures.attribution_bars(view.values, view.result.labels, view.theme), key="bars")


def draw_layers(view: AttributionView) -> None:
    """Totals of each layer at one position; a click opens a layer."""
    others = [name for name in view.result.labels if not name.startswith(("L", "MLP"))]
    beside = ", ".join(
        f"{name} {view.values[view.result.labels.index(name)]:+.2f}" for name in others
    )
    with (
        figure_frame(
            view.here,
            _title(view),
            f"What the heads of each layer together, and its MLP, add to the logit of {view.goal}. "
            f"With {beside} the bars sum to {view.values.sum():.2f}.",
            LAYER_ATTRIBUTION,
            also=(ATTRIBUTION,),
            acts="Click a layer to open it below.",
        ),
        part(),
    ):
        view.require_difference()
        totals = view.result.by_layer
        mlp = None if totals.mlp is None else totals.mlp[0, view.position]
        figure = layer_figures.layer_bars(
            totals.attention[0, view.position], mlp, view.layer, view.theme
        )
        draw_choice(figure, "layers", ("layer",))


def draw_layer(view: AttributionView) -> None:
    """The components of one layer."""
    layer = view.layer
    names = [head.label for head in view.result.heads if head.layer == layer]
    names += [name for name in (f"MLP{layer}",) if name in view.result.labels]
    places = [view.result.labels.index(name) for name in names]
    with (
        figure_frame(
            replace(view.here, layer=layer),
            f"Layer {layer}, opened",
            f"What each head of the layer, and its MLP, adds to the logit of {view.goal}.",
            ATTRIBUTION,
        ),
        part(),
    ):
        key = widget_key(view.selection, "layer", shown=layer)
        st.selectbox("Layer", range(view.selection.info.n_layers), key=key, width=110)
        view.require_difference()
        draw(figures.attribution_bars(view.values[places], names, view.theme), key="layer")


def draw_heads(view: AttributionView) -> None:
    """All heads at one position, the largest first."""
    values = view.values
    whole = float(np.abs(values).sum()) or 1.0
    places = view.result.heads
    ranked: list[Head] = sorted(places, key=lambda head: -abs(values[places[head]]))
    rows = [
        {
            "Head": head.label,
            "Logits": float(values[places[head]]),
            "Effect": "raises" if values[places[head]] > 0 else "lowers",
            "Share": float(abs(values[places[head]])) / whole,
        }
        for head in ranked
    ]
    largest = max((float(row["Share"]) for row in rows), default=0)
    with (
        figure_frame(
            view.here,
            f"Heads, by what they add after “{display_token(view.labels[view.position])}”",
            f"The largest first, whether it raises or lowers the logit of {view.goal}. Share: its "
            "size among the sizes of all components, which add up to 100 %.",
            ATTRIBUTION,
            acts="A head's name leads to that head.",
        ),
        part(),
    ):
        view.require_difference()
        draw_linked_heads(
            rows,
            ranked,
            "heads",
            view.selection,
            {
                "Logits": st.column_config.NumberColumn(format="%+.3f"),
                "Share": st.column_config.ProgressColumn(
                    format="percent", min_value=0, max_value=largest or 1.0
                ),
            },
        )


def draw_every_position(view: AttributionView) -> None:
    """Every position: by component, or by layer where there are too many of these."""
    values, labels = view.result.values[0], view.result.labels
    strongest = np.abs(values).mean(0).argsort()[::-1][:3]
    largest = f"Largest on average: {', '.join(labels[i] for i in strongest)}."
    at = view.labels[: len(values)]
    if view.by_name:
        with figure_frame(
            view.subject,
            "Every position and component",
            f"Rows are named by the token the prediction is made at. {largest}",
            ATTRIBUTION,
            acts="The hover names the token it is about.",
        ):
            figure = figures.attribution_map(values, labels, at, view.towards, view.theme)
            draw(figure, key="map")
        return
    with figure_frame(
        view.subject,
        "Every position and layer",
        f"Rows are named by the token the prediction is made at. {largest} The strongest 1 % of "
        "cells have the end colour.",
        LAYER_ATTRIBUTION,
        acts="The hover names the token it is about.",
    ):
        totals = view.result.by_layer
        mlp = None if totals.mlp is None else totals.mlp[0]
        figure = layer_figures.layer_map(totals.attention[0], mlp, at, view.towards, view.theme)
        draw(figure, key="map")


def draw_lens(selection: Selection, tokens: Tokens, row: int) -> None:
    """What the model would say after each layer; a large one once it is asked for."""
    labels = tuple(tokens.labels[row])
    cells = (len(labels), selection.info.n_layers + 1)
    with (
        figure_frame(
            Subject(selection, sequence=row),
            "Logit lens: the top guess after each layer",
            "Each row is a position; the further right, the more layers have written. A cell names "
            "the most likely next token there, in bold where the model ends with it; ✓ where it is "
            "the one that came. The stronger the colour, the more likely there is the token that "
            "the model ends with.",
            LENS,
            acts="Hover for the five best; move it sideways for other layers.",
        ),
        part(),
    ):
        price = f"{cells[0]} positions × {cells[1]} depths"
        if cells[0] * cells[1] > MAX_UNASKED and not asked_for(
            selection.info, tokens.ids, "Read every layer", price
        ):
            return
        lens = calls.logit_lens(selection, row)
        named = iter(
            calls.token_labels(selection, lens.top_ids[0].reshape(-1, lens.top_ids.shape[-1]))
        )
        guesses = [[next(named) for _ in labels] for _ in lens.labels]
        figure = lens_map(
            lens.end_probs[0], lens.top_probs[0], guesses, lens.labels, labels, palette()
        )
        draw_wide(figure, "lens", lens_width(len(lens.labels)))
        st.caption(
            f"Check: the last column equals the model's own prediction {within(lens.error)}."
        )
