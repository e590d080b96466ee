"""Paths into one head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from analysis.definitions import PATH_PATCHING
from analysis.head import Head, all_heads
from app.compute import calls
from app.figures import base as figures
from app.figures.patching import restored, unit_of
from app.frame.clicks import draw_heads_to_open
from app.frame.frame import figure_frame, part
from app.links.session import widget_key
from app.sections.patching.exact import strongest
from app.sections.patching.prompts import PatchView
from app.sections.shared.cancel import cancellable


def draw_paths(view: PatchView) -> None:
    """How much of the answer comes back along each path into one head."""
    selection, info = view.selection, view.selection.info
    reader = _reader(view)
    with (
        figure_frame(
            replace(view.subject, head=reader),
            "Which earlier head does it come through?",
            "Path patching: only the path from one earlier head to one input of the reading head "
            "is taken from the clean run. Blue: the answer comes back along it.",
            PATH_PATCHING,
            acts="Click a cell to open that head.",
        ),
        part(),
    ):
        if info.n_layers < 2:
            st.info("This model has one layer: no head reads what another one writes.")
            return
        if selection["reader"] not in (None, reader.label):
            st.caption(f"Nothing writes before {selection['reader']}, so this is a later head.")
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        labels = [head.label for head in all_heads(info) if head.layer > 0]
        bar.selectbox(
            "Reading head",
            labels,
            key=widget_key(selection, "reader", shown=reader.label),
            width=140,
        )
        bar.segmented_control(
            "Its input",
            ["q", "k", "v"],
            format_func={"q": "q: query", "k": "k: key", "v": "v: value"}.__getitem__,
            required=True,
            key=widget_key(selection, "into"),
        )
        bar.toggle(
            f"Run {reader.layer * info.n_heads:,} patches", key=widget_key(selection, "paths")
        )
        into, group = selection["into"], info.n_heads // view.kv_heads
        read = reader if into == "q" else Head(reader.layer, reader.head // group)
        name = f"{into} of {reader.label}"
        if into != "q" and group > 1:
            served = view.columns("k").names[read.head]
            st.caption(
                f"{reader.label} shares its {into}: the paths lead to key/value head {served} of "
                f"layer {read.layer}."
            )
        if not selection["paths"]:
            st.caption("Switch it on to run them.")
            return
        with cancellable(f"Patching paths into {name}", paths=False) as progress:
            result = calls.path_patching(selection, view.pair, read, into, progress)
        best = strongest(np.nan_to_num(restored(result)), 1)[0]
        st.caption(
            f"Strongest: {Head(*best).label} to the {name}, {restored(result)[best]:+.3f} "
            f"{'logits' if result.no_share else 'of the difference'}. All of these are exact."
        )
        draw_heads_to_open(
            figures.head_map(
                restored(result), view.theme, unit=unit_of(result), diverging=True, focus=reader
            ),
            "paths",
            selection,
        )


def note_no_paths() -> None:
    """Say why an encoder has no paths here."""
    st.caption(
        "Paths between heads, and circuits of them, are defined here for models whose heads write "
        "to the stream without a norm between, which an encoder has."
    )


def _reader(view: PatchView) -> Head:
    """The link's reading head, or the one whose z restores most, after the first layer."""
    if view.selection["reader"]:
        head = Head.parse(view.selection["reader"])
        if head.layer > 0:
            return head
    values = np.array(restored(view.estimates["z"]))
    values[0] = -np.inf
    layer, number = np.unravel_index(int(values.argmax()), values.shape)
    return Head(int(layer), int(number))
