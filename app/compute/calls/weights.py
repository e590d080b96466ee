"""Questions about the weights alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import analysis
from analysis.head import Head
from analysis.limits import rows_at_once
from app.compute.ask import Progress, ask, ask_at_once
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.circuits.composition import Composition, Kind
    from analysis.circuits.copying import Copying, KeyQueryMatch
    from analysis.circuits.ov_qk import Circuit, OVSample, TokenOutputs, TokenPreferences
    from analysis.circuits.spectra import (
        Eigenvalues,
        FactoredFacts,
        FactoredTiming,
        OVDecomposition,
    )
    from analysis.models.info import ModelInfo

# Blocks of the vocabulary by the vocabulary, and what is made of each.
_BLOCKS = 160 * 2**20
# Enough work to be measured, and no more than a second or two of it with a large vocabulary.
TIMED_ROWS = 256


def in_blocks(info: ModelInfo, tokens: int) -> int:
    """Bytes of the vocabulary's vectors, and of what goes through it block by block."""
    return _BLOCKS + 3 * 4 * info.d_vocab * info.d_model


def _timed(info: ModelInfo, tokens: int) -> int:
    """Bytes of the rows that are timed, worked out in two ways."""
    return 5 * 4 * _timed_rows(info) * info.d_vocab


def _timed_rows(info: ModelInfo) -> int:
    return min(TIMED_ROWS, info.d_vocab, rows_at_once(1, info.d_vocab))


OV_COPYING = Question("ov_copying", lambda: analysis.ov_copying, logits="none", beside=in_blocks)
OV_SAMPLE = Question("ov_sample", lambda: analysis.ov_sample, logits="none", beside=in_blocks)
OV_EIGENVALUES = Question(
    "ov_eigenvalues", lambda: analysis.ov_eigenvalues, logits="none", beside=in_blocks
)
OV_TOP_TOKENS = Question("ov_top_tokens", lambda: analysis.ov_top_tokens)
QK_PREFERENCES = Question("qk_preferences", lambda: analysis.qk_preferences)
OV_SVD = Question("ov_svd", lambda: analysis.ov_svd, logits="none", beside=in_blocks)
FACTORED_MATRIX_FACTS = Question("factored_matrix_facts", lambda: analysis.factored_matrix_facts)
TIME_FACTORED = Question("time_factored", lambda: analysis.time_factored, beside=_timed)
PREVIOUS_TOKEN_CIRCUIT = Question("previous_token_circuit", lambda: analysis.previous_token_circuit)
K_COMPOSITION_CIRCUIT = Question(
    "k_composition_circuit", lambda: analysis.k_composition_circuit, logits="none", beside=in_blocks
)
COMPOSITION_SCORES = Question("composition_scores", lambda: analysis.composition_scores)


def ov_copying(
    selection: Selection, heads: tuple[Head, ...], progress: Progress | None = None
) -> Copying:
    """OV copying accuracy of heads, jointly; `progress` may raise to cancel it."""
    return ask(OV_COPYING, selection.info, heads, progress=progress)


def ov_sample(selection: Selection, heads: tuple[Head, ...]) -> OVSample:
    """The OV circuit of heads, jointly, on the tokens that the view draws."""
    size = min(selection["sample"], selection.info.d_vocab)
    return ask(OV_SAMPLE, selection.info, heads, size=size, seed=selection["draw"])


def ov_eigenvalues(selection: Selection) -> Eigenvalues:
    """Eigenvalue copying scores of all heads."""
    return ask(OV_EIGENVALUES, selection.info)


def ov_top_tokens(selection: Selection, head: Head, token_id: int) -> TokenOutputs:
    """What attending to a token writes."""
    return ask(OV_TOP_TOKENS, selection.info, head, token_id)


def qk_preferences(selection: Selection, head: Head, token_id: int) -> TokenPreferences:
    """What a token looks for as a query, and what looks for it as a key."""
    return ask(QK_PREFERENCES, selection.info, head, token_id)


def ov_svd(selection: Selection, head: Head, n: int, top: int) -> OVDecomposition:
    """The strongest singular directions of one head's OV."""
    return ask(OV_SVD, selection.info, head, n=min(n, selection.info.d_head), top=top)


def factored_facts(selection: Selection) -> FactoredFacts:
    """What the OV circuit of one head takes, written out and factored."""
    return ask(FACTORED_MATRIX_FACTS, selection.info)


def factored_timing(selection: Selection, head: Head, again: bool) -> FactoredTiming:
    """The same, measured here; `again` measures anew instead of showing what was measured."""
    rows = _timed_rows(selection.info)
    if again:
        return ask_at_once(TIME_FACTORED, selection.info, head, rows=rows, repeats=7)
    return ask(TIME_FACTORED, selection.info, head, rows=rows, repeats=7)


def previous_token_circuit(selection: Selection, head: Head) -> Circuit:
    """Where a head would look if it saw positions only."""
    return ask(PREVIOUS_TOKEN_CIRCUIT, selection.info, head.layer, head.head)


def k_composition_circuit(
    selection: Selection, writer: Head, reader: Head, progress: Progress
) -> KeyQueryMatch:
    """Whether a token's query finds the key that `writer` wrote about it, and the other way."""
    return ask(K_COMPOSITION_CIRCUIT, selection.info, writer, reader, progress=progress)


def composition(selection: Selection, kind: str) -> Composition:
    """Composition scores of all pairs of heads."""
    # The link's parser takes no other, and `analysis` refuses one.
    return ask(COMPOSITION_SCORES, selection.info, cast("Kind", kind))
