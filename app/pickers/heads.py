"""Which heads a page is about: the link's, or those that show the most; and their pickers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.head import Head, all_heads
from app.compute import calls
from app.links.parameters import MAX_JOINT
from app.links.parsers import heads_in
from app.links.selection import Selection
from app.links.session import choose, widget_key

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from analysis.runs.results import HeadScores

# The course's threshold for calling a head an induction head.
INDUCTION = 0.4
# A text repeats little: there a head copies from here on, if that is five times chance.
COPIES = 0.2


def ranked(values: np.ndarray) -> list[Head]:
    """Every head by its value, [layer, head], the largest first."""
    layers, heads = np.unravel_index(np.argsort(-values, axis=None, kind="stable"), values.shape)
    return [Head(int(layer), int(head)) for layer, head in zip(layers, heads, strict=True)]


def focus_head(selection: Selection) -> Head:
    """The head in focus: the link's, or the strongest induction head."""
    return completed(selection, "layer", "head", calls.reference_scores(selection).induction)


def telling_head(selection: Selection) -> Selection:
    """The view with a head in focus: the link's, or the one that says most on its input.

    That is the strongest induction head where one copies, else the strongest previous-token head;
    of an encoder always that one.
    A link of an age that left out 0 names a layer or a head alone: the other one is 0.
    """
    layer, head = selection["layer"], selection["head"]
    if layer is None and head is None:
        if selection.info.bidirectional:
            found = _best(calls.encoder_scores(selection).values["previous"])
        else:
            found = _telling(calls.scores(selection))
        layer, head = found.layer, found.head
    return selection.with_values(layer=layer or 0, head=head or 0)


def _telling(scores: HeadScores) -> Head:
    induction = _best(scores.induction)
    value = scores.induction[induction.layer, induction.head]
    if value > max(COPIES, 5 * scores.chance["induction"]):
        return induction
    return _best(scores.previous)


def pick_layer_and_head(bar: DeltaGenerator, selection: Selection, head: str = "Head") -> None:
    """Two narrow pickers of the head in focus; where one is changed the other stays."""
    for name, parameter, count, other in (
        ("Layer", "layer", selection.info.n_layers, "head"),
        (head, "head", selection.info.n_heads, "layer"),
    ):
        bar.selectbox(
            name,
            range(count),
            key=widget_key(selection, parameter),
            width=110,
            on_change=choose,
            kwargs={other: selection[other]},
        )


def previous_token_head(selection: Selection) -> Head:
    """The head in focus: the link's, or the strongest previous-token head."""
    return completed(selection, "layer", "head", calls.reference_scores(selection).previous)


def second_head(selection: Selection, first: Head) -> Head:
    """The head to compare `first` with: the link's, or the strongest other previous-token head."""
    values = np.array(calls.reference_scores(selection).previous)
    values[first.layer, first.head] = np.nan
    return completed(selection, "layer2", "head2", values)


def writer_head(selection: Selection, reader: Head) -> Head:
    """An earlier head that `reader` may read: the link's, or the strongest previous-token head."""
    return completed(selection, "layer2", "head2", _before(selection, reader))


def ablated_head(selection: Selection, first: Head) -> Head:
    """The head that the second side lacks: the link's, or one that `first` may rest on."""
    if selection["ablate"]:
        return Head.parse(selection["ablate"])
    return _best(_before(selection, first))


def joint_heads(selection: Selection, parameter: str = "heads") -> tuple[Head, ...]:
    """The heads of a parameter: the link's, or the induction heads, strongest first.

    Where no head reaches the threshold it is the strongest one.
    """
    if selection[parameter]:
        return heads_in(selection[parameter])
    scores = calls.reference_scores(selection)
    found = [head for head, _ in scores.above("induction", INDUCTION)]
    return tuple(found[:MAX_JOINT]) or (_best(scores.induction),)


def pick_head(selection: Selection, title: str, head: Head, suffix: str = "") -> Head:
    """Two pickers, set to `head`; `suffix` as in the parameters `layer2` and `head2`."""
    left, right = st.columns(2)
    layer = left.selectbox(
        f"{title}: layer",
        range(selection.info.n_layers),
        key=widget_key(selection, f"layer{suffix}", shown=head.layer),
    )
    number = right.selectbox(
        f"{title}: head",
        range(selection.info.n_heads),
        key=widget_key(selection, f"head{suffix}", shown=head.head),
    )
    return Head(layer, number)


def pick_joint_heads(
    selection: Selection,
    heads: tuple[Head, ...],
    parameter: str = "heads",
    label: str = "Heads, taken jointly",
    most: int = MAX_JOINT,
    text: str = "As if all of them attended to the same token and wrote together. Empty it to get "
    "the induction heads back.",
) -> None:
    """A picker of several heads, set to `heads`; with none chosen the page picks them again."""
    # Labels, and not the comma-separated text that a link holds: it has a key of its own.
    key = f"joint {parameter}"

    def take() -> None:
        choose(**{parameter: ",".join(st.session_state[key])})

    # In every run, for the reason of `widget_key`.
    st.session_state[key] = [head.label for head in heads]
    st.multiselect(
        label,
        [head.label for head in all_heads(selection.info)],
        key=key,
        on_change=take,
        max_selections=most,
        help=text,
    )


def _before(selection: Selection, reader: Head) -> np.ndarray:
    """Previous-token scores of the heads that reach `reader`.

    Only earlier layers do; in layer 0 there are none, and any other head of it will do.
    """
    values = np.array(calls.reference_scores(selection).previous)
    values[max(reader.layer, 1) :] = np.nan
    if reader.layer == 0 and selection.info.n_heads > 1:
        values[0, reader.head] = np.nan
    return values


def completed(selection: Selection, layer_key: str, head_key: str, values: np.ndarray) -> Head:
    """The link's layer and head in two parameters; by the largest of `values` what it lacks."""
    layer, head = selection[layer_key], selection[head_key]
    if layer is not None and head is not None:
        return Head(layer, head)
    ranked = np.array(values)
    if layer is not None:
        ranked[np.arange(len(ranked)) != layer] = np.nan
    if head is not None:
        ranked[:, np.arange(ranked.shape[1]) != head] = np.nan
    if np.isnan(ranked).all():  # such as a writer of the reader's own layer
        return Head(layer or 0, head or 0)
    return _best(ranked)


def _best(values: np.ndarray) -> Head:
    ranked = np.where(np.isnan(values), -np.inf, values)
    layer, head = np.unravel_index(int(ranked.argmax()), ranked.shape)
    return Head(int(layer), int(head))
