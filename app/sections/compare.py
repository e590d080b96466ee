"""What a comparison compares: its two sides, and the models there are for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import PATTERN_CHANGE
from analysis.head import Head, all_heads
from analysis.models.catalog import available_models, find_model
from analysis.models.info import ModelInfo
from app.components.pattern_pair.payload import Pane
from app.compute import calls
from app.frame.clicks import draw_linked_heads
from app.frame.frame import figure_frame, part
from app.links.parameters import DEFAULT_PROMPT
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.heads import ablated_head, completed, focus_head, pick_head, ranked, second_head
from app.pickers.weighting import Weighted, weighted

if TYPE_CHECKING:
    from analysis.heads.scores import HeadScores


# What is compared where it is no prompt.
_NO_PROMPT = {"chat": "the conversation", "repeated": "repeated tokens"}


@dataclass(frozen=True, slots=True)
class Side:
    """One side: what is run, which head is looked at, and which heads are ablated meanwhile."""

    name: str
    selection: Selection
    head: Head
    without: tuple[Head, ...] = ()

    @property
    def subject(self) -> Subject:
        """What this side is about."""
        return Subject(self.selection, head=self.head, without=self.without)

    def pattern(self, sequence: int) -> Weighted:
        """The patterns of the head's layer on one sequence, weighted as the view says."""
        return weighted(self.selection, sequence, (self.head.layer,), self.without)

    def scores(self) -> HeadScores:
        """The scores of every head of this side."""
        return calls.scores(self.selection, self.without)

    def loss(self) -> float:
        """The loss of this side, nats per token."""
        return calls.loss(self.selection, self.without)

    def pane(self, sequence: int) -> Pane:
        """What is drawn of this side."""
        tokens = calls.tokens_of(self.selection)
        part = " on the second half" if tokens.half_length is not None else ""
        shown = self.pattern(sequence)
        return Pane(
            self.name,
            f"Loss {self.loss():.3f} nats per token{part}",
            shown.values[0, self.head.head],
            calls.one_sequence(tokens, sequence).labels[0],
            shown.weighting,
        )


def other_models(selection: Selection) -> list[ModelInfo]:
    """The models that the one of the view can be compared with."""
    return [
        info
        for info in available_models()
        if info.name != selection.info.name and not info.bidirectional
    ]


def choose_sides(selection: Selection) -> tuple[Side, Side]:
    """Both sides, with the pickers that change them.

    Two models are only compared where `other_models` has one.
    """
    left, right = st.columns(2, border=True)
    with left:
        first = _head_of_text if selection["by"] == "prompt" else focus_head
        head = pick_head(selection, "A", first(selection))
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


def draw_changed(a: Side, b: Side) -> None:
    """Every head by how much of its attention goes elsewhere on the second prompt."""
    lengths = [calls.tokens_of(side.selection).length for side in (a, b)]
    with (
        figure_frame(
            Subject(a.selection),
            "Which heads changed most between the two prompts?",
            "Place by place, the share of a head's attention that goes elsewhere on the second "
            f"prompt: over the first {min(lengths)} places, of {lengths[0]} and {lengths[1]}.",
            PATTERN_CHANGE,
        ),
        part(),
    ):
        change = calls.pattern_change(a.selection, b.selection)
        heads = ranked(change)
        rows = [
            {"Head": head.label, "Change": float(change[head.layer, head.head])} for head in heads
        ]
        bars = st.column_config.ProgressColumn(format="%.3f", min_value=0, max_value=1)
        draw_linked_heads(rows, heads, "changed", a.selection, {"Change": bars})


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
    if a.selection["by"] == "prompt" and a.selection["input"] != "prompt":
        what = _NO_PROMPT[a.selection["input"]]
        return f"A is {what}; choose Prompt in the sidebar to compare two prompts."
    return ""


def _with_and_without(selection: Selection, head: Head) -> tuple[Side, Side]:
    label = st.selectbox(
        f"B: {head.label} again, without",
        [other.label for other in all_heads(selection.info)],
        key=widget_key(selection, "ablate", shown=ablated_head(selection, head).label),
        help="The head's output z is replaced by zero: heads of later layers no longer hear from "
        "it.",
    )
    b = Side(f"{head.label} without {label}", selection, head, (Head.parse(label),))
    return Side(head.label, selection, head), b


def _two_prompts(selection: Selection, head: Head) -> tuple[Side, Side]:
    st.text_area("B: second prompt", height=100, key=widget_key(selection, "prompt2"))
    second = selection.with_values(input="prompt", prompt=selection["prompt2"])
    its = _NO_PROMPT.get(selection["input"], "first prompt")
    return (
        Side(f"{head.label}, {its}", selection, head),
        Side(f"{head.label}, second prompt", second, head),
    )


def _two_models(selection: Selection, head: Head) -> tuple[Side, Side]:
    names = [model.name for model in other_models(selection)]
    shown = selection["model2"] if selection["model2"] in names else names[0]
    name = st.selectbox(
        "B: second model",
        names,
        format_func=lambda name: find_model(name).title,
        key=widget_key(selection, "model2", shown=shown),
    )
    second = selection.with_values(model=name)
    # The same number means nothing in another model: by default its own induction head.
    other = completed(second, "layer2", "head2", calls.reference_scores(second).induction)
    other = pick_head(second, "B", other, "2")
    return (
        Side(f"{head.label} of {selection.info.title}", selection, head),
        Side(f"{other.label} of {second.info.title}", second, other),
    )


def _head_of_text(selection: Selection) -> Head:
    """The link's head, or the one that best finds names again in text, not in random tokens."""
    fixed = selection.with_values(input="prompt", prompt=DEFAULT_PROMPT, bos=True)
    return completed(selection, "layer", "head", calls.scores(fixed).induction)
