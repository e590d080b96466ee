"""Questions about the weights alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.head import Head
from app.compute.ask import Progress, ask
from app.compute.engine import engine, model_of
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.circuits.composition import Composition
    from analysis.circuits.copying import Copying, KeyQueryMatch
    from analysis.circuits.ov_qk import Circuit, OVSample, TokenOutputs, TokenPreferences
    from analysis.circuits.spectra import (
        Eigenvalues,
        FactoredFacts,
        FactoredTiming,
        OVDecomposition,
    )


# Enough work to be measured, and no more than a second or two of it with a large vocabulary.
TIMED_ROWS = 256


def ov_copying(
    selection: Selection, heads: tuple[Head, ...], progress: Progress | None = None
) -> Copying:
    """OV copying accuracy of heads, jointly; `progress` may raise to cancel it."""
    return ask(selection, "ov_copying", heads, progress=progress)


def ov_sample(selection: Selection, heads: tuple[Head, ...]) -> OVSample:
    """The OV circuit of heads, jointly, on the tokens that the view draws."""
    size = min(selection["sample"], selection.info.d_vocab)
    return ask(selection, "ov_sample", heads, size=size, seed=selection["draw"])


def ov_eigenvalues(selection: Selection) -> Eigenvalues:
    """Eigenvalue copying scores of all heads."""
    return ask(selection, "ov_eigenvalues")


def ov_top_tokens(selection: Selection, head: Head, token_id: int) -> TokenOutputs:
    """What attending to a token writes."""
    return ask(selection, "ov_top_tokens", head, token_id)


def qk_preferences(selection: Selection, head: Head, token_id: int) -> TokenPreferences:
    """What a token looks for as a query, and what looks for it as a key."""
    return ask(selection, "qk_preferences", head, token_id)


def ov_svd(selection: Selection, head: Head, n: int, top: int) -> OVDecomposition:
    """The strongest singular directions of one head's OV."""
    return ask(selection, "ov_svd", head, n=min(n, selection.info.d_head), top=top)


def factored_facts(selection: Selection) -> FactoredFacts:
    """What the OV circuit of one head takes, written out and factored."""
    return ask(selection, "factored_matrix_facts")


def factored_timing(selection: Selection, head: Head, again: bool) -> FactoredTiming:
    """The same, measured here; `again` measures anew instead of showing what was measured."""
    rows = min(TIMED_ROWS, selection.info.d_vocab)
    if again:
        return engine().time_factored(model_of(selection), head, rows=rows, repeats=7)
    return ask(selection, "time_factored", head, rows=rows, repeats=7)


def previous_token_circuit(selection: Selection, head: Head) -> Circuit:
    """Where a head would look if it saw positions only."""
    return ask(selection, "previous_token_circuit", head.layer, head.head)


def k_composition_circuit(
    selection: Selection, writer: Head, reader: Head, progress: Progress
) -> KeyQueryMatch:
    """Whether a token's query finds the key that `writer` wrote about it, and the other way."""
    return ask(selection, "k_composition_circuit", writer, reader, progress=progress)


def composition(selection: Selection, kind: str) -> Composition:
    """Composition scores of all pairs of heads."""
    return ask(selection, "composition_scores", kind)
