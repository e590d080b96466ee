"""The form that adds a step to a recipe: one entry of a table for each kind of step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from analysis.effects.recipe import MAX_STEPS, Listed
from analysis.effects.steps import (
    LEAST_DIAL,
    MOST_ADDED,
    MOST_DIAL,
    MOST_FIRED,
    Borrow,
    Dial,
    Fire,
    Look,
    Patch,
    Push,
    Steer,
    Step,
    Swap,
    Weigh,
)
from analysis.head import Head
from app.sections.intervene.subject import Bench, set_steps
from app.text import display_token


@dataclass
class _Form:
    """Fields of one step, drawn as they are asked for."""

    bench: Bench

    def layer(self) -> int:
        """A layer."""
        n_layers = self.bench.selection.info.n_layers
        return st.selectbox("Layer", range(n_layers), self.bench.head.layer, key="step layer")

    def head(self) -> Head:
        """A head of a layer."""
        n_heads = self.bench.selection.info.n_heads
        return Head(
            self.layer(),
            st.selectbox("Head", range(n_heads), self.bench.head.head, key="step head"),
        )

    def cell(self) -> tuple[int, int]:
        """A destination and a source up to it."""
        dest = self.position("From token", "step dest")
        return dest, self.position("To token", "step src", dest + 1)

    def position(self, label: str, key: str, count: int | None = None) -> int:
        """A token of the prompt, or of its first `count`."""
        labels = self.bench.labels[:count]
        return st.selectbox(
            label,
            range(len(labels)),
            len(labels) - 1,
            format_func=lambda at: f"{at} “{display_token(labels[at])}”",
            key=key,
        )

    def neuron(self) -> int:
        """A neuron of a layer."""
        most = self.bench.selection.info.d_mlp - 1
        return int(st.number_input("Neuron", 0, most, key="step neuron"))

    def number(self, label: str, least: float, most: float, value: float) -> float:
        """How much."""
        typed = st.number_input(label, least, most, value, key=f"step {label}")
        return round(float(typed), 4)


# What is done, in words, and the step that its fields make; they are drawn in that order.
_KINDS: dict[str, Callable[[_Form], Step]] = {
    "Dial a head's output": lambda form: Dial(
        form.head(), form.number("Times", LEAST_DIAL, MOST_DIAL, 0.0)
    ),
    "Replace a head's output by its mean over the reference text": lambda form: Swap(
        form.head(), "mean"
    ),
    "Replace a head's output by that on another text": lambda form: Swap(form.head(), "resample"),
    "Add what a head writes from one token": lambda form: Push(
        form.head(),
        form.position("From token", "step pushed"),
        form.number("Times what it writes", -MOST_ADDED, MOST_ADDED, 1.0),
    ),
    "Make a head look at one token alone": lambda form: Look(form.head(), *form.cell()),
    "Set one cell of a pattern": lambda form: Weigh(
        form.head(), *form.cell(), form.number("Weight", 0.0, 1.0, 0.0)
    ),
    "Give a head its pattern of the second prompt": lambda form: Borrow(form.head()),
    "Set a neuron": lambda form: Fire(
        form.layer(), form.neuron(), form.number("Value", -MOST_FIRED, MOST_FIRED, 0.0)
    ),
    "Take the stream at a token from the second prompt": lambda form: Patch(
        form.layer(), form.position("At token", "step dest")
    ),
    "Move the stream towards the second prompt": lambda form: Steer(
        form.layer(),
        form.number("Times the difference of the prompts", -MOST_ADDED, MOST_ADDED, 1.0),
    ),
}
_OF_NEURONS = "Set a neuron"


def draw_adder(bench: Bench) -> None:
    """What is done, its fields, and the button that adds it."""
    kinds = [kind for kind in _KINDS if bench.selection.info.has_mlp or kind != _OF_NEURONS]
    kind = st.selectbox("What is done", kinds, key="step kind")
    add_button(bench.steps, "Add", _KINDS[kind](_Form(bench)), "add step")


def add_button(steps: tuple[Listed, ...], label: str, step: Step, key: str) -> None:
    """A button that adds a step to the recipe."""
    full = len(steps) >= MAX_STEPS
    st.button(
        label,
        key=key,
        on_click=set_steps,
        args=((*steps, Listed(step)),),
        disabled=full,
        help=f"A recipe has at most {MAX_STEPS} steps." if full else None,
    )
