"""The flip set: heads without which the foil wins, each of them needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import FLIP_NEEDED, FLIP_PATH, FLIP_RANDOM
from analysis.effects.recipe import Listed
from analysis.effects.steps import Dial
from app.compute import calls
from app.figures import intervene as figures
from app.frame.frame import draw, figure_frame, part
from app.links.session import choose
from app.links.subject import Subject
from app.sections.intervene.subject import Bench, set_steps
from app.sections.shared.cancel import cancellable
from app.shell.theme import palette
from app.text import display_token, markdown_text

if TYPE_CHECKING:
    from analysis.effects.flip import FlipSet


def draw_flip(bench: Bench) -> None:
    """Heads removed until the foil wins, once that is asked for.

    Raises:
        AnalysisError: As `Bench.subject`.
    """
    # Of the prompt as it is: the recipe has no part in it.
    subject = replace(bench.subject, head=None, steps=())
    found: FlipSet | None = None
    with figure_frame(
        subject,
        "Which heads does the answer rest on?",
        "Heads are removed one by one, each time the one without which the answer's lead over the "
        "foil is smallest, until the foil wins. What is left of the lead after each; the recipe "
        "plays no part in this.",
        FLIP_PATH,
    ) as frame:
        with part():
            most = calls.most_removed(subject, bench.tokens)
            if bench.selection["flip"]:
                with cancellable(f"Removing heads, {most} at most", flip=False) as progress:
                    found = calls.flip_set(subject, bench.tokens, progress)
            else:
                st.button(
                    "Remove heads until the foil wins",
                    icon=":material/content_cut:",
                    on_click=choose,
                    kwargs={"flip": True},
                )
        if found is not None:
            frame.narrow(heads=found.taken)
            st.markdown(_said(bench, subject, found))
            draw(figures.removal_line(found, palette()), key="removals")
            if found.heads:
                _draw_open(found)
    if found is not None and found.heads:
        _draw_needed(subject, found)


def _names(bench: Bench, subject: Subject) -> list[str]:
    rows = calls.token_labels(bench.selection, np.array([[subject.answer], [subject.foil]]))
    return [f"“{markdown_text(display_token(row[0]))}”" for row in rows]


def _said(bench: Bench, subject: Subject, found: FlipSet) -> str:
    answer, foil = _names(bench, subject)
    if not found.heads:
        last = found.after[-1] if len(found.after) else found.clean
        why = (
            "No other head lowers it any further when it is removed as well"
            if found.ended == "stuck"
            else "No more of them are removed at once"
        )
        count = len(found.taken)
        return (
            f"{answer} still wins without {count} head{'s' * (count != 1)}, by {last:.2f} logits "
            f"after {found.clean:.2f} as it is. {why}: this search found no set that makes "
            f"{foil} win."
        )
    heads = ", ".join(head.label for head in found.heads)
    dropped = ""
    if found.dropped:
        unneeded = ", ".join(head.label for head in found.dropped)
        dropped = f" Removed on the way and not needed: {unneeded}."
    return (
        f"Without **{heads}** the model prefers {foil} to {answer}: {found.without:+.2f} logits, "
        f"where it has {found.clean:+.2f} as it is.{dropped}"
        + " The search takes one head at a time, so a smaller set may exist."
        * (len(found.heads) > 1)
    )


def _draw_open(found: FlipSet) -> None:
    steps = tuple(Listed(Dial(head, 0.0)) for head in found.heads)
    st.button(
        "Make these the recipe",
        icon=":material/arrow_upward:",
        on_click=set_steps,
        args=(steps,),
        help="Each of them is a step above, its output times 0.",
    )


def _draw_needed(subject: Subject, found: FlipSet) -> None:
    quantities = (FLIP_NEEDED, FLIP_RANDOM) if found.groups else (FLIP_NEEDED,)
    with figure_frame(
        replace(subject, heads=found.heads, groups=found.groups),
        "Is each of these heads needed?",
        "The answer's lead without the set, with each of its heads put back, and without as many "
        "other heads of the same layers. Left of the dashed line the foil wins.",
        *quantities,
    ):
        if found.random is None:
            st.caption(found.alone)
        else:
            count, low, high = found.random_flips, found.random.min(), found.random.max()
            one = "it" if len(found.heads) == 1 else "any one of them"
            st.markdown(
                f"With {one} back the answer wins again. Of {len(found.groups)} random "
                f"groups {count or 'none'} make{'s' * (count < 2)} the foil win; they leave a "
                f"lead from {low:+.2f} to {high:+.2f}, sd {found.random.std():.2f}."
            )
        draw(figures.flip_strip(found, palette()), key="needed")
