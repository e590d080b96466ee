"""The recipe on the page: its steps, each of which can be switched off, moved and removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from analysis.effects.recipe import Listed, clashes
from analysis.effects.steps import (
    LEAST_DIAL,
    MOST_DIAL,
    Dial,
    OfSecond,
)
from app.links.session import widget_key
from app.sections.intervene.adder import draw_adder
from app.sections.intervene.subject import Bench, set_steps


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
        draw_adder(bench)
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
