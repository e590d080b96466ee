"""What the finder is made of: the scores of every head, and tables of heads that open them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from analysis.definitions import PROFILE, SCORES
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from app.compute import calls
from app.frame.clicks import draw_rows_to_open
from app.links.selection import Selection
from app.links.session import widget_key
from app.sections.shared.cancel import stoppable
from app.shell.kept import own_names
from app.text import display_text

Profiles = dict[str, np.ndarray]


def profiles_of(selection: Selection) -> Profiles:
    """The scores that this model and input have, [layer, head] each; those that take long if asked.

    Raises:
        AnalysisError: The input is not usable.
    """
    profiles = calls.profiles(selection)
    return {**profiles, **_measured(selection)} if selection["measured"] else profiles


def _measured(selection: Selection) -> Profiles:
    heads, found = all_heads(selection.info), {}
    shape = (selection.info.n_layers, selection.info.n_heads)
    try:
        with stoppable("OV copying of every head") as progress:
            shares = []
            for done, head in enumerate(heads):
                progress(done, len(heads))
                shares.append(calls.ov_copying(selection, (head,)).accuracy[1])
        found["copying"] = np.array(shares).reshape(shape)
    except AnalysisError as refusal:
        st.text(f"⚠ {refusal}")
    try:
        with stoppable("Loss without every head") as progress:
            sweep = calls.ablation_sweep(selection, "zero").wait(progress)
        found["ablation"] = sweep.values(selection.info)
    except AnalysisError as refusal:
        st.text(f"⚠ {refusal}")
    return found


def name_of(score: str) -> str:
    """A score's name for pickers and columns."""
    return score.capitalize()


def measured_heads(selection: Selection) -> tuple[Head, ...]:
    """The heads whose copying is measured by itself: all of them, once that is asked for."""
    return all_heads(selection.info) if selection["measured"] else ()


def known_score(selection: Selection, parameter: str, profiles: Profiles) -> str:
    """The score a parameter names, or the first one if it is not there."""
    score = str(selection[parameter])
    return score if score in profiles else next(iter(profiles))


def explain_unknown(selection: Selection, parameter: str, profiles: Profiles) -> None:
    """Say so where the score that a parameter names is not there."""
    score = str(selection[parameter])
    if score in profiles:
        return
    if score in ("copying", "ablation") and not selection["measured"]:
        why = "is not measured yet (switch “Copying and ablation” on)"
    elif score in calls.scores(selection).not_measured:
        why = "is not measured for this input (newer than what came with this model)"
    else:
        why = "is unknown here (no token comes twice, or the model has no such circuit)"
    instead = known_score(selection, parameter, profiles)
    st.caption(f"{name_of(score)} {why}, so this is {name_of(instead)}.")


def choose_filter(selection: Selection) -> None:
    """What the table is ranked by, and which heads it leaves out."""
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    bar.selectbox(
        "Rank by", PROFILE, format_func=name_of, key=widget_key(selection, "rank"), width=180
    )
    bar.number_input(
        "At least", -1.0, 99.0, step=0.05, key=widget_key(selection, "minimum"), width=140
    )
    bar.selectbox(
        "Heads of",
        [None, *range(selection.info.n_layers)],
        format_func=lambda layer: "every layer" if layer is None else f"layer {layer}",
        key=widget_key(selection, "only"),
        placeholder="every layer",
        width=150,
    )
    bar.toggle(
        "Copying and ablation",
        key=widget_key(selection, "measured"),
        help="Two more scores: the share of tokens that a head's OV copies, and the loss increase "
        "when the head is replaced by zero. They take a few seconds per head the first time.",
    )


def shown_heads(selection: Selection, values: np.ndarray) -> np.ndarray:
    """Which heads pass the filter on the score they are ranked by, [layer, head]."""
    layers = np.arange(len(values))[:, None]
    only = selection["only"]
    shown: np.ndarray = (values >= selection["minimum"]) & ((only is None) | (layers == only))
    return shown


def _beside(
    selection: Selection, name: str, values: np.ndarray, heads: Sequence[Head]
) -> dict[str, list[float]]:
    """A score's columns: its values, their spread over sequences and its chance level.

    One sequence has no spread, and what is no score of attention neither of the two.
    """
    title = name_of(name)

    def column(table: np.ndarray) -> list[float]:
        return [float(table[head.layer, head.head]) for head in heads]

    columns = {title: column(values)}
    if name in SCORES:
        scores = calls.scores(selection)
        if not np.isnan(scores.spread[name]).all():
            columns[f"{title} sd"] = column(scores.spread[name])
        if not np.isnan(scores.chance[name]):
            columns[f"{title} chance"] = [scores.chance[name]] * len(heads)
    return columns


def draw_heads(
    selection: Selection,
    heads: Sequence[Head],
    profiles: Profiles,
    key: str,
    more: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """A table with one row per head, each score beside its spread and chance; a tick opens a head.

    `more` adds columns before the scores, one number for each of `heads`. Where the visitor has
    named one of them in a finding, the names stand beside the labels.
    """
    columns = {name: list(values) for name, values in (more or {}).items()}
    for name, values in profiles.items():
        columns |= _beside(selection, name, values, heads)
    names = own_names(selection.info.name)
    called = [display_text(names.get(head, "")) for head in heads]
    own = [{"Your name": name} if any(called) else {} for name in called]
    rows = [
        {"Head": head.label, **own[i], **{name: values[i] for name, values in columns.items()}}
        for i, head in enumerate(heads)
    ]
    draw_rows_to_open(rows, heads, key, selection)
