"""The sections of the page of activations: picture, slice, check and lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import (
    ACTIVATION,
    HEAD_WEIGHT,
    NAMES,
    PARAMETER,
    PATTERN,
    PATTERN_CHECK,
)
from analysis.head import Head
from app.components.pattern_pair.payload import Pane
from app.compute import calls
from app.figures import activations as activation_figures
from app.figures import base as figures
from app.frame.clicks import draw_options, draw_rows_to_choose
from app.frame.frame import draw, draw_table, figure_frame, part
from app.links.parameters import MAX_WORD
from app.links.parsers import Value
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.heads import previous_token_head
from app.sections.shared.pair import draw_pair
from app.shell.theme import palette
from app.text import display_token, markdown_text, plotly_text, short_token, within
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.activations import HookPoint
    from analysis.models.parameters import Parameter
    from analysis.runs.inputs import Tokens

# Half a megabyte of numbers at most; more cells than pixels would not be seen anyway.
MAX_FEATURES = 256
MAX_POSITIONS = 512
MAX_STREAM = 2048
WEIGHTS = ("W_Q", "W_K", "W_V", "W_O")
# What the axes of an activation are called where they run across a picture.
_ACROSS = {
    "d_model": "dimension of the stream",
    "d_head": "dimension of the head",
    "d_mlp": "neuron",
    "d_vocab": "token",
}


@dataclass(frozen=True)
class ActivationView:
    """What every section is about: the activation, the head, and the sequence that is drawn."""

    selection: Selection
    points: tuple[HookPoint, ...]  # of the layer that is drawn, and of the model around it
    point: HookPoint
    head: Head
    row: int
    labels: tuple[str, ...]
    theme: Palette

    @classmethod
    def of(cls, selection: Selection, tokens: Tokens, row: int) -> ActivationView:
        """The view of a selection; a head that is not chosen is the best previous-token head."""
        head = previous_token_head(selection)
        every = calls.hook_points(selection)
        points = tuple(point for point in every if point.layer in (None, head.layer))
        by_name = {point.short_name: point for point in points}
        if selection["point"] not in by_name:
            asked = display_token(selection["point"])
            st.text(f"⚠ {selection.info.name} has no activation “{asked}”; this is the pattern.")
        point = by_name.get(selection["point"], by_name["pattern"])
        return cls(selection, points, point, head, row, tuple(tokens.labels[row]), palette())

    @property
    def subject(self) -> Subject:
        """The activation on that sequence; of one head where it has heads."""
        return Subject(
            self.selection,
            head=self.head if self.by_head else None,
            layer=self.point.layer,
            sequence=self.row,
            activation=self.point.name,
        )

    @property
    def by_head(self) -> bool:
        """Whether the activation has an axis of heads, so that one is chosen."""
        return self.head_axis is not None

    @property
    def head_axis(self) -> int | None:
        """Which axis is that of heads, or of keys and values that several share."""
        places = [i for i, axis in enumerate(self.point.axes) if axis in ("head", "kv_head")]
        return places[0] if places else None

    @property
    def title(self) -> str:
        """The activation, its layer and its head."""
        layer = "" if self.point.layer is None else f" · layer {self.point.layer}"
        return f"{self.point.short_name}{layer}" + (
            f" · head {self.head.head}" if self.by_head else ""
        )


def choose_place(selection: Selection, view: ActivationView) -> None:
    """Pickers of activation, layer and head: the same choices as a click on the picture."""
    info = selection.info
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    bar.selectbox(
        "Activation",
        [point.short_name for point in view.points],
        key=widget_key(selection, "point", shown=view.point.short_name),
        width=180,
    )
    layer = widget_key(selection, "layer", shown=view.head.layer)
    bar.selectbox("Layer", range(info.n_layers), key=layer, width=110)
    head = widget_key(selection, "head", shown=view.head.head)
    bar.selectbox("Head", range(info.n_heads), key=head, width=110)


def draw_architecture(view: ActivationView) -> None:
    """The model as a picture; a click on a hook point shows its activation."""
    info = view.selection.info
    with figure_frame(
        view.subject,
        "Where it is read",
        "The thick line is the residual stream, upwards.",
        ACTIVATION,
        acts="Click a point to see what passes there.",
    ):
        figure = activation_figures.architecture(
            {point.short_name: point.meaning for point in view.points},
            view.point.short_name,
            view.head.layer,
            info.n_layers,
            view.theme,
        )
        options = [{"point": point.short_name} for point in view.points]
        rows = [{"Activation": point.name, "What it is": point.meaning} for point in view.points]
        draw_options(figure, "architecture", options, rows)


def draw_slice(view: ActivationView) -> None:
    """The activation, on one sequence: positions downwards, or destination by source."""
    point = view.point
    reading = f"{point.meaning}."
    if "src" in point.axes:
        reading += " Rows are destinations; cells above the diagonal are masked and left empty."
    elif point.axes[-1] != "scale":
        reading += (
            " Each row is a position; blue is positive, red negative, and the strongest 1 % of "
            "cells have the end colour."
        )
    is_pattern = "src" in point.axes
    with (
        figure_frame(
            view.subject, view.title, reading, ACTIVATION, also=(PATTERN,) if is_pattern else ()
        ),
        part(),
    ):
        found = calls.activation(view.selection, view.row, point.name)
        shape = " x ".join(
            f"{axis} {size}" for axis, size in zip(found.axes, found.values.shape, strict=True)
        )
        values, which = found.values[0], ""
        if view.head_axis is not None:
            axis = view.head_axis - 1  # without the batch
            shared = view.selection.info.n_heads // values.shape[axis]
            values = values.take(view.head.head // shared, axis=axis)
            if shared > 1:
                which = f"Head {view.head.head} reads number {view.head.head // shared} of them. "
        st.caption(
            markdown_text(f"{point.name}: {shape}. {which}")
            + f"Here: mean {np.nanmean(values):.3g}, standard deviation {np.nanstd(values):.3g}, "
            f"from {np.nanmin(values):.3g} to {np.nanmax(values):.3g}."
        )
        _draw_values(view, values)


def _draw_values(view: ActivationView, values: np.ndarray) -> None:
    labels = view.labels[:MAX_POSITIONS]
    values = values[:MAX_POSITIONS]
    left_out = []
    if len(labels) < len(view.labels):
        left_out.append(f"the first {len(labels)} of {len(view.labels)} positions")
    axis = view.point.axes[-1]
    if axis == "src":
        # Masked scores are NaN, and left empty like all that is above the diagonal.
        unit = "attention" if view.point.short_name == "pattern" else "score"
        shown = np.nan_to_num(values[:, : len(labels)])
        draw(figures.pattern_map(shown, labels, view.theme, unit), key="slice")
    elif axis == "scale":
        unit = "what is divided by"
        draw(activation_figures.token_bars(values[:, 0], labels, view.theme, unit), key="slice")
    else:
        n_features = values.shape[1]
        first = _first_feature(view, n_features)
        last = min(first + MAX_FEATURES, n_features)
        if last - first < n_features:
            left_out.append(f"{_ACROSS[axis]}s {first:,} to {last - 1:,} of {n_features:,}")
        columns = [str(i) for i in range(first, last)]
        if axis == "d_vocab":
            ids = np.arange(first, last)[None]
            names = calls.token_labels(view.selection, ids)[0]
            columns = [
                f"{i} {plotly_text(short_token(name))}"
                for i, name in zip(columns, names, strict=True)
            ]
        figure = activation_figures.slice_map(
            values[:, first:last], labels, columns, _ACROSS[axis], view.theme
        )
        draw(figure, key="slice")
    if left_out:
        st.caption(f"Drawn: {', '.join(left_out)}.")


def _first_feature(view: ActivationView, n_features: int) -> int:
    if n_features <= MAX_FEATURES:
        return 0
    last = n_features - 1
    asked = min(int(view.selection["feature"]), last)
    return int(
        st.number_input(
            "First one drawn",
            0,
            last,
            step=MAX_FEATURES,
            key=widget_key(view.selection, "feature", shown=asked),
            width=170,
        )
    )


def draw_check(view: ActivationView) -> None:
    """The pattern worked out from queries and keys, beside the one the model used."""
    head = view.head
    with (
        figure_frame(
            Subject(view.selection, head=head, sequence=view.row),
            f"Verify the pattern of {head.label}",
            "Left: softmax of the masked q·k / √d_head, worked out from the q and k above. Right: "
            "the pattern the model used. The difference is rounding only.",
            PATTERN_CHECK,
            PATTERN,
        ),
        part(),
    ):
        check = calls.verify_pattern(view.selection, view.row, head.layer)
        computed, cached = check.computed[0, head.head], check.cached[0, head.head]
        left, right = st.columns(2)
        mine = float(np.abs(computed - cached).max())
        left.metric(f"Largest difference, {head.label}", _tiny(mine), border=True)
        right.metric(
            f"Largest difference, all heads of layer {head.layer}",
            _tiny(check.difference),
            border=True,
        )
        draw_pair(
            Pane("softmax(mask(q·k) / √d_head)", "Worked out by hand", computed, view.labels),
            Pane(f'cache["pattern", {head.layer}]', "What the model used", cached, view.labels),
            view.theme,
            Subject(view.selection, head=head, sequence=view.row),
            key="check",
        )


def _tiny(difference: float) -> str:
    if 0 < difference < 1e-6:
        return "< 0.000001"
    return within(difference, "").removeprefix("within ") if difference else "0, exactly"


def draw_weight(view: ActivationView) -> None:
    """One of the head's four weights, with the stream's dimensions across."""
    selection, head = view.selection, view.head
    with (
        figure_frame(
            Subject(selection, head=head, on_input=False),
            f"Weights of {head.label}",
            "What the head multiplies by. Blue is positive, red negative, and the strongest 1 % of "
            "cells have the end colour.",
            HEAD_WEIGHT,
        ),
        part(),
    ):
        st.segmented_control("Weight", WEIGHTS, required=True, key=widget_key(selection, "weight"))
        found = calls.head_weight(selection, head, selection["weight"])
        # The stream across, and as much of it as there are pixels for.
        values = found.values if found.axes[1] == "d_model" else found.values.T
        drawn = values[:MAX_FEATURES, :MAX_STREAM]
        figure = activation_figures.weight_map(
            drawn, _ACROSS["d_model"], _ACROSS["d_head"], view.theme
        )
        draw(figure, key="weight")
        shape = " x ".join(
            f"{axis} {size}" for axis, size in zip(found.axes, found.values.shape, strict=True)
        )
        st.caption(
            markdown_text(f"{selection['weight']}: {shape}.")
            + (
                f" Several heads share it; it is number {found.number} of them."
                if found.number != head.head
                else ""
            )
            + (
                f" Drawn: {drawn.shape[1]:,} dimensions of the stream by {drawn.shape[0]} of the "
                "head, the first ones."
                if drawn.size < values.size
                else ""
            )
        )


def draw_lists(view: ActivationView) -> None:
    """Every activation or parameter: name, short name, shape, meaning; filtered."""
    selection, info = view.selection, view.selection.info
    with figure_frame(
        Subject(selection, layer=selection["within"], on_input=False),
        "Everything there is",
        "Names as TransformerLens has them, with this model's sizes.",
        NAMES,
        also=(ACTIVATION, PARAMETER),
        acts="Tick an activation to see it.",
    ):
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        bar.segmented_control(
            "List",
            ["activations", "parameters"],
            format_func=str.capitalize,
            required=True,
            key=widget_key(selection, "list"),
        )
        bar.selectbox(
            "Of layer",
            [None, *range(info.n_layers)],
            format_func=lambda layer: "all" if layer is None else str(layer),
            key=widget_key(selection, "within"),
            placeholder="all",
            width=110,
        )
        bar.text_input(
            "Search",
            key=widget_key(selection, "find"),
            max_chars=MAX_WORD,
            placeholder="resid, W_O, key",
            width=200,
        )
        of_activations = selection["list"] == "activations"
        every: Sequence[HookPoint | Parameter] = (
            calls.hook_points(selection) if of_activations else calls.parameters(selection)
        )
        found = [entry for entry in every if _wanted(selection, entry)]
        rows = [
            {
                "Short name": entry.short_name,
                "Name": entry.name,
                "Axes": ", ".join(entry.axes),
                "Shape": ", ".join(str(size or "?") for size in entry.shape),
                "What it is": entry.meaning,
            }
            for entry in found
        ]
        if not found:
            st.caption("Nothing of that name. Shorten the search or take all layers.")
        elif of_activations:
            places = [_place(entry) for entry in found]
            draw_rows_to_choose(rows, places, key="activations")
        else:
            draw_table(rows, "parameters")
        st.caption(
            f"{len(found)} of {len(every)} {selection['list']}."
            + (" A question mark depends on the input." if of_activations else "")
        )


def _place(entry: HookPoint | Parameter) -> dict[str, Value]:
    layer = re.match(r"blocks\.(\d+)\.", entry.name)
    return {"point": entry.short_name} | ({"layer": int(layer[1])} if layer else {})


def _wanted(selection: Selection, entry: HookPoint | Parameter) -> bool:
    within, text = selection["within"], selection["find"].strip().lower()
    in_layer = within is None or entry.name.startswith(f"blocks.{within}.")
    words = f"{entry.name} {entry.short_name} {entry.meaning}".lower()
    return in_layer and text in words
