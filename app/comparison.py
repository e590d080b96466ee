"""What a comparison compares: its two sides, from the link or picked where the link is silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.catalog import ModelInfo, list_models
from analysis.heads import Head
from app import backend
from app.pattern_pair import Pane
from app.selection import DEFAULT_PROMPT, Selection

if TYPE_CHECKING:
    from analysis.patterns import Patterns
    from analysis.scores import HeadScores


@dataclass(frozen=True, slots=True)
class Side:
    """One side: what is run, which head is looked at, and which heads are ablated meanwhile."""

    name: str
    selection: Selection
    head: Head
    without: tuple[Head, ...] = ()

    def pattern(self, sequence: int) -> np.ndarray:
        """The head's pattern of one sequence, [dest, src]."""
        found: Patterns = backend.patterns(
            self.selection, sequence, (self.head.layer,), self.without
        )
        values: np.ndarray = found.values[0, 0, self.head.head]
        return values

    def scores(self) -> HeadScores:
        """The scores of every head of this side."""
        return backend.scores(self.selection, self.without)

    def loss(self) -> float:
        """The loss of this side, nats per token."""
        return backend.loss(self.selection, self.without)

    def pane(self, sequence: int) -> Pane:
        """What is drawn of this side."""
        tokens = backend.tokens_of(self.selection)
        part = " on the second half" if tokens.half_length is not None else ""
        return Pane(
            self.name,
            f"Loss {self.loss():.3f} nats per token{part}",
            self.pattern(sequence),
            backend.one_sequence(tokens, sequence).labels[0],
        )


def other_models(selection: Selection) -> list[ModelInfo]:
    """The models that the one of the view can be compared with."""
    return [info for info in list_models() if info.available and info.name != selection.info.name]


def choose_sides(selection: Selection) -> tuple[Side, Side]:
    """Both sides, with the pickers that change them.

    Two models are only compared where `other_models` has one.
    """
    left, right = st.columns(2, border=True)
    with left:
        head = pick_head(selection, "A", focus_head(selection))
    with right:
        match selection["by"]:
            case "ablate":
                return _with_and_without(selection, head)
            case "head":
                other = pick_head(selection, "B", second_head(selection, head), "2")
                return Side(head.label, selection, head), Side(other.label, selection, other)
            case "prompt":
                return _two_prompts(selection, head)
            case _:
                return _two_models(selection, head)


def pick_head(selection: Selection, side: str, head: Head, suffix: str = "") -> Head:
    """Two pickers, set to `head`."""
    left, right = st.columns(2)
    layer = left.selectbox(
        f"{side}: layer",
        range(selection.info.n_layers),
        key=selection.key(f"layer{suffix}", shown=head.layer),
    )
    number = right.selectbox(
        f"{side}: head",
        range(selection.info.n_heads),
        key=selection.key(f"head{suffix}", shown=head.head),
    )
    return Head(layer, number)


def remark(a: Side, b: Side) -> str:
    """Why both sides may be alike, or are not what the visitor asked for; else empty."""
    if a.head.layer == 0 and b.without:
        return (
            f"{a.head.label} is in the first layer, so no other head comes before it and both "
            "sides are alike. Choose a head of a later layer."
        )
    if b.without and b.without[0].layer >= a.head.layer:
        return (
            f"{b.without[0].label} does not come before {a.head.label}, so both sides are alike. "
            "Ablate a head of an earlier layer."
        )
    if a.selection["by"] == "prompt" and a.selection["input"] == "repeated":
        return "A is repeated tokens; choose Prompt in the sidebar to compare two prompts."
    return ""


def _with_and_without(selection: Selection, head: Head) -> tuple[Side, Side]:
    info = selection.info
    every = [
        Head(layer, number).label
        for layer in range(info.n_layers)
        for number in range(info.n_heads)
    ]
    label = st.selectbox(
        f"B: {head.label} again, without",
        every,
        key=selection.key("ablate", shown=ablated_head(selection, head).label),
        help="The head's output z is replaced by zero: heads of later layers no longer hear from "
        "it.",
    )
    b = Side(f"{head.label} without {label}", selection, head, (Head.parse(label),))
    return Side(head.label, selection, head), b


def _two_prompts(selection: Selection, head: Head) -> tuple[Side, Side]:
    st.text_area("B: second prompt", height=100, key=selection.key("prompt2"))
    second = selection.with_values(input="prompt", prompt=selection["prompt2"])
    its = "first prompt" if selection["input"] == "prompt" else "repeated tokens"
    return (
        Side(f"{head.label}, {its}", selection, head),
        Side(f"{head.label}, second prompt", second, head),
    )


def _two_models(selection: Selection, head: Head) -> tuple[Side, Side]:
    names = [model.name for model in other_models(selection)]
    shown = selection["model2"] if selection["model2"] in names else names[0]
    name = st.selectbox("B: second model", names, key=selection.key("model2", shown=shown))
    second = selection.with_values(model=name)
    # The same number means nothing in another model: by default its own induction head.
    other = _completed(second, second["layer2"], second["head2"], "induction", ())
    other = pick_head(second, "B", other, "2")
    return (
        Side(f"{head.label} of {selection.info.name}", selection, head),
        Side(f"{other.label} of {name}", second, other),
    )


def focus_head(selection: Selection) -> Head:
    """The head of the first side: the link's, or the strongest induction head."""
    return _completed(selection, selection["layer"], selection["head"], "induction", ())


def second_head(selection: Selection, first: Head) -> Head:
    """The head to compare `first` with: the link's, or the strongest other previous-token head."""
    return _completed(selection, selection["layer2"], selection["head2"], "previous", (first,))


def ablated_head(selection: Selection, first: Head) -> Head:
    """The head that the second side lacks: the link's, or one that `first` may rest on."""
    if selection["ablate"]:
        return Head.parse(selection["ablate"])
    scores = _reference(selection).previous
    # Only earlier layers reach the head; in layer 0 there are none and any head will do.
    reaching = scores[: max(first.layer, 1)]
    return _best(reaching, first if first.layer == 0 else None)


def _completed(
    selection: Selection, layer: int, head: int, score: str, taken: tuple[Head, ...]
) -> Head:
    """The head of that layer and number; what is -1 is chosen by the score."""
    if layer >= 0 and head >= 0:
        return Head(layer, head)
    values = np.array(getattr(_reference(selection), score))
    if layer >= 0:
        values[np.arange(len(values)) != layer] = np.nan
    if head >= 0:
        values[:, np.arange(values.shape[1]) != head] = np.nan
    for other in taken:
        values[other.layer, other.head] = np.nan
    return _best(values, None)


def _best(values: np.ndarray, avoid: Head | None) -> Head:
    ranked = np.where(np.isnan(values), -np.inf, values)
    if avoid is not None and ranked.size > 1:
        ranked[avoid.layer, avoid.head] = -np.inf
    layer, head = np.unravel_index(int(ranked.argmax()), ranked.shape)
    return Head(int(layer), int(head))


def _reference(selection: Selection) -> HeadScores:
    # On fixed tokens, whatever the input, so that the choice does not jump while a prompt is
    # typed. Two prompts: a head that finds names again in text, not only in random tokens.
    if selection["by"] == "prompt":
        fixed = selection.with_values(input="prompt", prompt=DEFAULT_PROMPT, bos=True)
        return backend.scores(fixed)
    length = min(50, (selection.info.n_ctx - 1) // 2)
    return backend.scores(selection.with_values(input="repeated", length=length, batch=10, seed=0))
