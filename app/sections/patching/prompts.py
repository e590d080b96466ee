"""The sections of the page on patching: what brings an answer back, and along which path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import LOGIT_DIFFERENCE, PATCHING
from app.components.chips import Chip, chips_html
from app.compute import calls
from app.figures import patching as patching_figures
from app.frame.frame import Metric, draw_metrics, figure_frame, part
from app.links.parameters import CLEAN_PROMPT, CORRUPT_PROMPT
from app.links.parsers import Value
from app.links.selection import Selection
from app.links.session import choose, widget_key
from app.links.subject import Subject
from app.pickers.answer import answer_and_foil, pick_answer_and_foil
from app.shell.theme import palette
from app.text import display_token, markdown_text
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.effects.patching import PatchKind, PatchMap, PromptPair
    from analysis.runs.inputs import Tokens


@dataclass(frozen=True, slots=True)
class PairPreset:
    """Two prompts that differ in what the answer follows from."""

    title: str
    clean: str
    corrupt: str
    answer: str | None = None
    foil: str | None = None


_HOLMES = "Mr. Holmes rode into the town. Everybody there had heard of Mr."
_ZEBULON = "Mr. Zebulon Quixworthy rode into the town. Everybody there had heard of Mr. Zebulon"
_GIFT = "When Mary and John went to the store, John gave the bag to"
PAIR_PRESETS = (
    PairPreset("What follows “red”?", CLEAN_PROMPT, CORRUPT_PROMPT, " house", " horse"),
    PairPreset("A name that comes back", _HOLMES, _HOLMES.replace("Holmes", "Weston")),
    PairPreset("An unusual name", _ZEBULON, _ZEBULON.replace("Quixworthy", "Bartlemy")),
    PairPreset(
        "Who gets the gift? (for larger models)",
        _GIFT,
        _GIFT.replace("John gave", "Mary gave"),
        answer=" Mary",
        foil=" John",
    ),
)


@dataclass(frozen=True, eq=False)
class PatchView:
    """What every section about the two prompts needs."""

    subject: Subject
    pair: PromptPair
    estimates: dict[PatchKind, PatchMap]
    theme: Palette

    @property
    def selection(self) -> Selection:
        """The view."""
        return self.subject.selection

    @property
    def labels(self) -> tuple[str, ...]:
        """Tokens of the clean prompt."""
        return self.pair.clean.labels[0]

    @property
    def kv_heads(self) -> int:
        """Key/value heads per layer."""
        return self.estimates["k"].values.shape[1]

    def columns(self, kind: PatchKind) -> patching_figures.Columns:
        """What the columns of the maps of a kind are."""
        return patching_figures.columns_of(
            self.estimates[kind], self.labels, self.selection.info.n_heads
        )


def draw_prompts(selection: Selection) -> PatchView | None:
    """The two prompts, their answer and foil; None if they cannot be patched."""
    with (
        figure_frame(
            Subject(selection),
            "A clean and a corrupt prompt",
            "The corrupt prompt lacks what the answer follows from. Everything below asks which "
            "activations of the clean run, put into the corrupt one, bring the answer back.",
            LOGIT_DIFFERENCE,
            also=(PATCHING,),
        ) as frame,
        part(),
    ):
        _draw_presets()
        left, right = st.columns(2)
        left.text_area("Clean prompt", height=100, key=widget_key(selection, "clean"))
        right.text_area("Corrupt prompt", height=100, key=widget_key(selection, "corrupt"))
        if mask := calls.mask_of(selection):
            st.caption(
                markdown_text(
                    f"The answer stands in the place of {mask}, which both prompts have at the "
                    "same position. One without it gets it at its end."
                )
            )
        clean, corrupt = calls.patched_prompts(selection)
        _draw_strips(clean, corrupt)
        answer, foil = _answer_and_foil(selection, clean, corrupt)
        frame.narrow(answer=answer, foil=foil)
        pair = calls.prompt_pair(selection, clean, corrupt, answer, foil)
        estimates = calls.attribution_patching(selection, pair)
        texts = calls.token_labels(selection, np.array([[answer], [foil]]))
        _draw_differences(pair, estimates["z"], texts, calls.mask_of(selection))
        return PatchView(frame.subject, pair, estimates, palette())
    return None


def _draw_presets() -> None:
    bar = st.container(horizontal=True)
    for preset in PAIR_PRESETS:
        values: dict[str, Value] = {
            "clean": preset.clean,
            "corrupt": preset.corrupt,
            "answer": preset.answer,
            "foil": preset.foil,
            "layer": None,
            "column": None,
        }
        bar.button(preset.title, on_click=choose, kwargs=values)


def _draw_strips(clean: Tokens, corrupt: Tokens) -> None:
    """Both prompts as tokens, marked where they differ."""
    rows = (clean.labels[0], corrupt.labels[0])
    shared = min(map(len, rows))
    differing = [
        i for i in range(max(map(len, rows))) if i >= shared or clean.ids[0, i] != corrupt.ids[0, i]
    ]
    for name, labels in zip(("Clean", "Corrupt"), rows, strict=True):
        st.caption(f"{name}, {len(labels)} tokens")
        chips = [
            Chip(
                label,
                i in differing,
                card=[
                    (which, display_token(row[i]) if i < len(row) else "none")
                    for which, row in zip(("clean", "corrupt"), rows, strict=True)
                ],
                heading=f"position {i}",
            )
            for i, label in enumerate(labels)
        ]
        st.html(chips_html(chips, palette()))
    shown = ", ".join(map(str, differing[:12])) + (" …" if len(differing) > 12 else "")
    if differing:
        st.caption(f"Marked: the prompts differ at position{'s' * (len(differing) > 1)} {shown}.")


def _answer_and_foil(selection: Selection, clean: Tokens, corrupt: Tokens) -> tuple[int, int]:
    """What is typed, or the first tokens in which the prompts differ."""
    pick_answer_and_foil(
        selection,
        unless=(
            "the first token of the clean prompt that differs",
            "the first token of the corrupt prompt that differs",
        ),
    )
    answer, foil = answer_and_foil(selection).checked()
    shared = min(clean.length, corrupt.length)
    first = int((clean.ids[0, :shared] != corrupt.ids[0, :shared]).argmax())
    return (
        int(clean.ids[0, first]) if answer is None else answer,
        int(corrupt.ids[0, first]) if foil is None else foil,
    )


def _draw_differences(
    pair: PromptPair, result: PatchMap, texts: list[list[str]], mask: str
) -> None:
    answer, foil = (display_token(row[0]) for row in texts)
    draw_metrics(
        [
            Metric(f"Logit difference, {name}", value, f"{value:+.2f}")
            for name, value in (("clean", result.clean), ("corrupt", result.corrupt))
        ],
        "logit differences",
    )
    below = (
        "What is restored is given in logits below."
        if result.no_share
        else "A share of 1 below is all of the difference between the two, "
        f"{result.clean - result.corrupt:+.2f}."
    )
    where = f"in the place of {mask}" if mask else "after the last token"
    st.caption(markdown_text(f"Logit of “{answer}” minus logit of “{foil}” {where}. {below}"))
    if result.no_share:
        st.info(result.no_share)
    elif not result.clean > 0 > result.corrupt:
        st.info(
            "This model does not answer the two prompts differently: the difference should be "
            "above 0 for the clean prompt and below 0 for the corrupt one. Read the shares with "
            "care, or take another model or pair."
        )
