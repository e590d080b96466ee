"""What every section of the ablation page is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from analysis.head import Head, all_heads
from app.components.progress import wanted
from app.compute import calls
from app.links.selection import Selection
from app.links.subject import Subject
from app.shell.theme import palette
from app.shell.watching import is_awaited, watch
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.runs.inputs import Tokens
    from app.compute.sweeps import SharedSweep, Snapshot

# Seconds that a sweep is awaited: a page that is drawn twice at once flickers.
AT_ONCE = 0.5


@dataclass(frozen=True)
class AblationView:
    """What every section is about."""

    selection: Selection
    tokens: Tokens
    theme: Palette
    sweep: SharedSweep
    known: Snapshot  # how far the sweep was when this run of the page began

    @classmethod
    def of(cls, selection: Selection) -> AblationView:
        """The view of a selection; its sweep begins."""
        tokens = calls.tokens_of(selection)
        sweep = calls.ablation_sweep(selection, selection["method"])
        return cls(selection, tokens, palette(), sweep, watch(sweep, patience=AT_ONCE))

    @property
    def subject(self) -> Subject:
        """The input, and what an ablated output is replaced by."""
        return Subject(self.selection, method=self.method)

    @property
    def method(self) -> str:
        """What the output of a head is replaced by."""
        return str(self.selection["method"])

    @property
    def sweeping(self) -> bool:
        """Whether this run of the page leaves things out until the sweep is over."""
        return is_awaited(self.sweep, self.known)

    @property
    def where(self) -> str:
        """The predictions that losses are averaged over, in words."""
        if self.tokens.half_length is None:
            return "all tokens of the prompt"
        return "the predictable tokens of the second half"

    @property
    def every_head(self) -> tuple[Head, ...]:
        """All heads of the model."""
        return all_heads(self.selection.info)


def asked_for(view: AblationView, button: str, passes: float) -> bool:
    """Whether to go ahead with work of so many forward passes: if it is short, or once asked.

    Not while the sweep is under way: its exact values could not be drawn meanwhile.
    """
    if view.sweeping:
        st.caption("This follows when the sweep above is done or cancelled.")
        return False
    return wanted(view.selection.info, view.tokens.ids, button, passes)
