"""The recipe on the page: its steps, each of which can be switched off, moved and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import streamlit as st

from analysis.effects.recipe import (
    LEAST_DIAL,
    MAX_STEPS,
    MOST_ADDED,
    MOST_DIAL,
    MOST_FIRED,
    Borrow,
    Dial,
    Fire,
    Listed,
    Look,
    OfSecond,
    Patch,
    Steer,
    Step,
    Swap,
    Weigh,
    clashes,
)
from analysis.head import Head
from app.links.session import widget_key
from app.sections.intervene.subject import Bench, set_steps
from app.text import display_token

DIAL = "Dial a head's output"
KINDS = (
    DIAL,
    "Replace a head's output by its mean over the reference text",
    "Replace a head's output by that on another text",
    "Make a head look at one token alone",
    "Set one cell of a pattern",
    "Give a head its pattern of the second prompt",
    "Set a neuron",
    "Take the stream at a token from the second prompt",
    "Move the stream towards the second prompt",
)


def draw_recipe(bench: Bench) -> None:
    """Every step of the recipe, and what can be added."""
    st.markdown("#### Recipe")
    if not bench.steps:
        st.caption("No step yet: both runs are the same. Add one, or click a cell of the pattern.")
    for index, listed in enumerate(bench.steps):
        _draw_step(bench.steps, index, listed)
    on = [listed.step for listed in bench.steps if listed.on]
    for first, second in clashes(on):
        st.caption(
            f"The order counts: “{first.said}” and “{second.said}” set the same numbers, and the "
            "later one has the last word."
        )
    bar = st.container(horizontal=True)
    with bar.popover("Add a step", icon=":material/add:"):
        _draw_adder(bench)
    if bench.steps:
        bar.button("Start over", on_click=set_steps, args=((),))
    if any(isinstance(listed.step, OfSecond) for listed in bench.steps):
        st.text_area("Second prompt", height=80, key=widget_key(bench.selection, "prompt2"))


def _draw_step(steps: tuple[Listed, ...], index: int, listed: Listed) -> None:
    def put(others: tuple[Listed, ...]) -> Callable[[], None]:
        return lambda: set_steps(others)

    def changed(other: Listed) -> tuple[Listed, ...]:
        return (*steps[:index], other, *steps[index + 1 :])

    # Of one place and one step: another one there is another widget.
    name = f"{index} {listed.text}"
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small")
    bar.toggle(
        f"{index + 1}. {listed.step.said}",
        listed.on,
        key=f"on {name}",
        on_change=put(changed(replace(listed, on=not listed.on))),
        width="stretch" if not isinstance(listed.step, Dial) else "content",
    )
    if isinstance(step := listed.step, Dial):
        key = f"dial {index} {step.head.label}"
        st.session_state[key] = step.factor

        def turn() -> None:
            factor = round(float(st.session_state[key]), 2) + 0.0
            set_steps(changed(replace(listed, step=Dial(step.head, factor))))

        bar.slider(
            f"Times, step {index + 1}",
            LEAST_DIAL,
            MOST_DIAL,
            step=0.05,
            key=key,
            on_change=turn,
            label_visibility="collapsed",
            width=260,
        )
    if index:
        swapped = (*steps[: index - 1], listed, steps[index - 1], *steps[index + 1 :])
        bar.button(
            "Earlier",
            icon=":material/arrow_upward:",
            type="tertiary",
            key=f"up {name}",
            on_click=put(swapped),
        )
    bar.button(
        "Remove",
        icon=":material/close:",
        type="tertiary",
        key=f"remove {name}",
        on_click=put((*steps[:index], *steps[index + 1 :])),
    )


def _draw_adder(bench: Bench) -> None:
    info, labels = bench.selection.info, bench.labels
    kinds = [kind for kind in KINDS if info.has_mlp or kind != KINDS[6]]
    kind = st.selectbox("What is done", kinds, key="step kind")
    which = KINDS.index(kind)
    layer = st.selectbox("Layer", range(info.n_layers), bench.head.layer, key="step layer")
    head = dest = src = neuron = 0
    number = 0.0
    if which < 6:
        head = st.selectbox("Head", range(info.n_heads), bench.head.head, key="step head")
    if which in (3, 4, 7):
        dest = _pick_position("At token" if which == 7 else "From token", labels, "step dest")
    if which in (3, 4):
        src = _pick_position("To token", labels[: dest + 1], "step src")
    if which == 6:
        neuron = int(st.number_input("Neuron", 0, info.d_mlp - 1, key="step neuron"))
    ranges = {
        0: ("Times", LEAST_DIAL, MOST_DIAL, 0.0),
        4: ("Weight", 0.0, 1.0, 0.0),
        6: ("Value", -MOST_FIRED, MOST_FIRED, 0.0),
        8: ("Times the difference of the prompts", -MOST_ADDED, MOST_ADDED, 1.0),
    }
    if which in ranges:
        label, least, most, value = ranges[which]
        number = round(float(st.number_input(label, least, most, value, key=f"step {label}")), 4)
    of = Head(layer, head)
    made: tuple[Step, ...] = (
        Dial(of, number),
        Swap(of, "mean"),
        Swap(of, "resample"),
        Look(of, dest, src),
        Weigh(of, dest, src, number),
        Borrow(of),
        Fire(layer, neuron, number),
        Patch(layer, dest),
        Steer(layer, number),
    )
    add_button(bench.steps, "Add", made[which], "add step")


def _pick_position(label: str, labels: Sequence[str], key: str) -> int:
    return st.selectbox(
        label,
        range(len(labels)),
        len(labels) - 1,
        format_func=lambda at: f"{at} “{display_token(labels[at])}”",
        key=key,
    )


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
