"""Two sides compared over a set, prompt by prompt: prompts, heads, models, or lacking a head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.head import Head, all_heads
from analysis.models.catalog import available_models
from analysis.sets.spread import paired
from app.compute import calls
from app.figures.sets import row_values
from app.frame.frame import draw, draw_table, figure_frame, part
from app.links.selection import Selection
from app.links.session import widget_key
from app.pickers.heads import ablated_head, completed, pick_head
from app.sections.sets.choose import choose_measure, draw_set
from app.sections.sets.page import draw_heads, draw_over_set
from app.sections.sets.subject import SIDED, WITHOUT, SetView, interval

if TYPE_CHECKING:
    from analysis.sets.fitted import FittedSet

CHOICES = {
    "ablate": "With and without a head",
    "head": "Two heads",
    "prompt": "Prompts and corrupt prompts",
    "model": "Two models",
}


def draw_compared(selection: Selection) -> None:
    """What differs, and by how much, over the set of the sidebar."""
    st.segmented_control(
        "What differs",
        list(CHOICES),
        format_func=CHOICES.__getitem__,
        required=True,
        key=widget_key(selection, "by"),
    )
    match selection["by"]:
        case "prompt":
            asked = _measuring(selection, SIDED)
            draw_over_set(asked, SIDED, side="difference")
        case "ablate":
            _draw_without(_measuring(selection, WITHOUT).with_values(side="prompt"))
        case "head":
            _draw_two_heads(selection)
        case _:
            _draw_two_models(selection)


def _measuring(selection: Selection, measures: tuple[str, ...]) -> Selection:
    """The view with one of these measures: the link's, or the first."""
    chosen = selection["measure"]
    return selection.with_values(measure=chosen if chosen in measures else measures[0])


def _draw_without(selection: Selection) -> None:
    """What the loss of one head changes in every other, prompt by prompt."""
    with part():
        prompts = calls.fitted_set(selection)
        choose_measure(selection, prompts, {"side"}, WITHOUT)
        # By default one that the last head of the model can hear from.
        head = ablated_head(selection, all_heads(selection.info)[-1])
        label = st.selectbox(
            "Without",
            [each.label for each in all_heads(selection.info)],
            key=widget_key(selection, "ablate", shown=head.label),
            help="The head's output z is replaced by zero: heads of later layers no longer hear "
            "from it.",
            width=190,
        )
        with part():
            draw_heads(SetView.of(selection, prompts, Head.parse(label)))
        draw_set(selection, prompts)


def _draw_two_heads(selection: Selection) -> None:
    """One head less another on every prompt, which takes away what both owe to the prompt."""
    with part():
        prompts = calls.fitted_set(selection)
        choose_measure(selection, prompts, ())
        with part():
            view = SetView.of(selection, prompts)
            left, right = st.columns(2, border=True)
            with left:
                a = pick_head(selection, "A", view.focus)
            with right:
                b = pick_head(selection, "B", _other_head(view, a), "2")
            _draw_pair(_Side(a.label, a, view), _Side(b.label, b, view))
        draw_set(selection, prompts)


def _draw_two_models(selection: Selection) -> None:
    """A head of each of two models on the same prompts."""
    titles = {info.name: info.title for info in available_models()}
    others = [name for name in titles if name != selection.info.name]
    if not others:
        st.info("There is no second model yet. Compare two heads, or prompts with corrupt ones.")
        return
    chosen = selection["model2"] if selection["model2"] in others else others[0]
    with part():
        prompts = calls.fitted_set(selection)
        choose_measure(selection, prompts, ())
        left, right = st.columns(2, border=True)
        with right:
            name = st.selectbox(
                "B: second model",
                others,
                format_func=titles.__getitem__,
                key=widget_key(selection, "model2", shown=chosen),
            )
        second = selection.with_values(model=name)
        with part():
            # The same rows, as the other model reads them: a set of its own has other words.
            theirs = calls.fitted_set(second, prompts.of)
            for note in theirs.notes[len(prompts.of.notes) :]:
                st.text(f"⚠ For {titles[name]}: {note.sentence}")
            first_view = SetView.of(selection, prompts)
            second_view = SetView.of(second, theirs)
            with left:
                a = pick_head(selection, "A", first_view.focus)
            with right:
                b = pick_head(second, "B", second_view.strongest("layer2", "head2"), "2")
            _draw_pair(
                _Side(f"{a.label} of {selection.info.title}", a, first_view),
                _Side(f"{b.label} of {titles[name]}", b, second_view),
            )
        draw_set(selection, prompts)


@dataclass(frozen=True)
class _Side:
    """One side of a pair: a head, and where its numbers are."""

    name: str
    head: Head
    view: SetView

    def on(self, rows: np.ndarray) -> np.ndarray:
        """Its numbers on some of the rows."""
        values: np.ndarray = self.view.found.of(self.head)[np.isin(self.view.found.rows, rows)]
        return values


def _draw_pair(a: _Side, b: _Side) -> None:
    """Two heads on every prompt, and the interval of their differences."""
    view, one_model = a.view, a.view is b.view
    rows = np.intersect1d(view.found.rows, b.view.found.rows)
    ours, theirs = a.on(rows), b.on(rows)
    less, found = ours - theirs, paired(ours, theirs)
    reading = (
        f"{a.name} {a.view.said(a.head)}, {b.name} {b.view.said(b.head)}. {a.head.label} less "
        f"{b.head.label} on the same prompt: {interval(found, (), signed=True)}; above 0 on "
        f"{int((less > 0).sum())} of {len(less)} prompts. The interval is a bootstrap over prompts."
    )
    if one_model:
        subject = view.about(heads=(a.head, b.head))
    else:
        shared = rows.tolist()
        first, second = (
            replace(side.view.about(side.head), prompts=_only(side.view, shared)) for side in (a, b)
        )
        subject = replace(first, second=second)
    quantity = view.quantity("paired")
    if not one_model and view.is_difference:
        quantity = replace(quantity, code="")  # of four sides
    with figure_frame(
        subject,
        f"{view.what}: {a.name} less {b.name}",
        reading,
        quantity,
        also=view.also,
    ):
        draw(row_values(less, f"difference in {view.unit}", view.theme), key="two-heads")
        names = (f"A: {a.name}", f"B: {b.name}", "A − B")
        order = np.argsort(-less, kind="stable")
        draw_table(
            [
                {
                    "Row": int(rows[at]) + 1,
                    **dict(zip(names, (float(x[at]) for x in (ours, theirs, less)), strict=True)),
                    "Prompt": view.prompts.of.rows[rows[at]].prompt,
                }
                for at in order
            ],
            "two-heads-table",
            {
                name: st.column_config.NumberColumn(format=written)
                for name, written in zip(
                    names, (view.decimals, view.decimals, "%+.3f"), strict=True
                )
            },
        )


def _only(view: SetView, rows: list[int]) -> FittedSet:
    """Those rows of what a view is about."""
    return (view.changed or view.prompts).only(rows)


def _other_head(view: SetView, first: Head) -> Head:
    """The link's second head, or the strongest beside the first."""
    size = view.size.copy()
    size[first.layer, first.head] = np.nan
    return completed(view.selection, "layer2", "head2", size)
