"""Whether heads that look like a role matter: the verdict on a group."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import REDUNDANCY, VERDICT
from analysis.head import Head
from analysis.sets.spread import spread
from app.compute import calls
from app.figures.roles import group_strip
from app.frame.frame import draw, figure_frame, part
from app.links.parameters import MAX_JOINT
from app.links.session import choose, link_from_here, widget_key
from app.pickers.heads import pick_joint_heads
from app.pickers.method import METHODS
from app.sections.roles.subject import RolesView
from app.sections.shared.cancel import cancellable
from app.shell.navigation import streamlit_page

if TYPE_CHECKING:
    from analysis.roles.verdict import GroupTest, Verdict

_MEANS = {
    "cause": "Without them the task suffers more than without any of the random groups.",
    "interferer": "Without them the task goes better than without any of the random groups.",
    "correlate": "Taking them out does no more than taking out others of the same layers: they "
    "look like the role, and on these prompts the model does not need them.",
    "null": "No head looks enough like this role here, so there is nothing to take out.",
}
_OPPOSED = {
    "cause": "They work against the answer, as the role says: without them it gains more than "
    "without any of the random groups.",
    "interferer": "Against what the role says, the answer loses more without them than without any "
    "of the random groups.",
}


def draw_verdict(view: RolesView) -> None:
    """A group of heads, and what the task is without it and without random groups."""
    selection, group = view.selection, view.group
    found: Verdict | None = None
    name = ", ".join(head.label for head in group) or "no head"
    with figure_frame(
        replace(
            view.subject,
            heads=group,
            groups=(group,) if group else (),
            method=selection["method"],
        ),
        f"Does it matter? {name}",
        "Logit difference of answer and foil without these heads, less the one with them, beside "
        "that of groups of as many other heads of the same layers. The bar is the bootstrap "
        "interval over prompts.",
        VERDICT,
        acts="Pick any heads.",
    ) as frame:
        _pick(view, group)
        with part():
            if not selection["judge"]:
                st.button(
                    "Does it matter?",
                    icon=":material/gavel:",
                    type="primary",
                    on_click=choose,
                    kwargs={"judge": True},
                )
                return
            with cancellable("Ablating the group and random ones", judge=False) as progress:
                found = calls.verdict(selection, group, view.role.opposes, progress)
            frame.narrow(groups=(found.heads, *found.groups))
            _draw_word(found)
            if found.heads:
                draw(group_strip(found, view.theme), "verdict")
                _draw_caution(view, found)
                _draw_way_on(view, found.heads)
    if found is not None and found.redundancy is not None:
        _draw_redundancy(view, found, found.redundancy)


def _pick(view: RolesView, group: tuple[Head, ...]) -> None:
    pick_joint_heads(
        view.selection,
        group,
        "group",
        label="Heads",
        most=MAX_JOINT,
        text="Empty it to get back the heads that look most like the role.",
    )
    st.segmented_control(
        "What takes the place of their output",
        list(METHODS),
        format_func=METHODS.__getitem__,
        required=True,
        key=widget_key(view.selection, "method"),
    )


def _draw_word(found: Verdict) -> None:
    meaning = (_OPPOSED if found.opposes else {}).get(found.word, _MEANS[found.word])
    st.markdown(f"### {found.word.capitalize()}")
    st.markdown(meaning)
    if found.heads:
        if (as_it_is := spread(found.clean_by_row)).low <= 0 <= as_it_is.high:
            st.warning(
                f"The model does not do this task: its logit difference is {found.clean:+.2f} "
                f"(95 % interval {as_it_is.low:+.2f} to {as_it_is.high:+.2f}), so there is little "
                "for a head to be a cause of. Choose another set or model."
            )
        st.markdown(
            f"Logit difference {found.clean:.2f} with all heads, {found.clean + found.effect:.2f} "
            f"without these: {_said(found)}."
        )


def _said(found: GroupTest) -> str:
    low, high = found.interval
    return (
        f"{found.effect:+.2f} (95 % interval {low:+.2f} to {high:+.2f}); {len(found.random)} "
        f"random groups {found.random.mean():+.2f} on average, sd {found.random.std():.2f}, from "
        f"{found.random.min():+.2f} to {found.random.max():+.2f}"
    )


def _draw_caution(view: RolesView, found: Verdict) -> None:
    hidden = "" if found.redundancy else " Heads that cover for each other can hide a cause."
    st.caption(
        f"{len(view.prompts.rows)} prompts of one set. Of groups that matter alike, one falls "
        f"outside the range of {len(found.random)} others on a given side in "
        f"{100 * found.false_positive:.0f} % of cases. Other texts may say otherwise.{hidden}"
    )


def _draw_way_on(view: RolesView, heads: tuple[Head, ...]) -> None:
    circuit = ",".join(head.label for head in heads)
    st.page_link(
        streamlit_page("build"),
        label="Are they enough? Build a circuit from them",
        icon=":material/arrow_forward:",
        query_params=link_from_here("build", {**view.selection.values, "circuit": circuit}),
    )


def _draw_redundancy(view: RolesView, found: Verdict, again: GroupTest) -> None:
    backups = ", ".join(head.label for head in found.backups)
    with figure_frame(
        replace(view.subject, heads=found.heads, without=found.backups, method=found.method),
        "And without its backups?",
        f"{backups}: more is added to the answer by these when the group is gone. Here they are "
        "gone on both sides; what is left is what the group does and they make up for.",
        REDUNDANCY,
    ):
        st.markdown(f"**{again.word.capitalize()}**: {_said(again)}.")
        if again.word != found.word:
            st.caption(
                "The word differs from the one above: taken out alone, the group's part is made up "
                "for by these heads."
            )
        draw(group_strip(again, view.theme), "without-backups")
