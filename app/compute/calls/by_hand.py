"""Questions about circuits that a person puts together, on a set of prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import analysis
from analysis.effects.circuit import HeadCircuit
from app.compute.ask import PART_TOKENS, Progress, ask
from app.compute.calls.ablation import known_method, known_swap
from app.compute.calls.roles import prompt_set
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.effects.circuit_score import CircuitScore
    from analysis.effects.set_edges import SetEdges
    from analysis.models.info import ModelInfo


def _written(info: ModelInfo, tokens: int) -> int:
    """Bytes of what every head writes to the stream, some of it twice, and of all edges."""
    heads, read = info.n_heads, info.n_heads + 2 * (info.n_kv_heads or info.n_heads)
    edges = info.n_layers * (info.n_layers - 1) // 2 * heads * read + info.n_layers * heads
    written = 4 * min(tokens, PART_TOKENS) * heads * info.d_model
    # No more is run at once than there is room for (`analysis.effects.set_edges`).
    return 3 * min(written * info.n_layers, 2**27) + 2 * written + 800 * edges


SET_EDGES = Question("set_edges", lambda: analysis.set_edges, beside=_written)
CIRCUIT_SCORE = Question("circuit_score", lambda: analysis.circuit_score, beside=_written)
# Random circuits that one is set beside, and sets of its heads that are taken out.
RANDOM, REMOVED = 10, 10
# Whether it is enough alone; that, what it lacks and what it needs; or all, beside random ones.
Test = Literal["faithfulness", "alone", "all"]


def set_edges(selection: Selection, progress: Progress) -> SetEdges:
    """Every edge by what it is worth to the view's set; `progress` may raise to cancel."""
    method = known_method(selection["method"])
    return ask(
        SET_EDGES,
        selection.info,
        prompt_set(selection),
        method,
        seed=known_swap(selection, method),
        prepend_bos=selection.bos,
        progress=progress,
    )


def circuit_score(
    selection: Selection, circuit: HeadCircuit, progress: Progress, test: Test = "all"
) -> CircuitScore:
    """How good a circuit is on the view's set; `progress` may raise to cancel.

    Args:
        selection: The view.
        circuit: The circuit.
        progress: Called while it is run.
        test: How much is asked.
    """
    method = known_method(selection["method"])
    return ask(
        CIRCUIT_SCORE,
        selection.info,
        prompt_set(selection),
        circuit.text,
        method,
        draws=RANDOM if test == "all" else 0,
        removals=0 if test == "faithfulness" else REMOVED,
        parts_alone=test != "faithfulness",
        seed=known_swap(selection, method) if method == "resample" else selection["seed"],
        prepend_bos=selection.bos,
        progress=progress,
    )


def circuit_runs(circuit: HeadCircuit) -> int:
    """How many runs of the set the whole test of a circuit takes."""
    return 3 + len(circuit.heads) + len(circuit.wires or ()) + 2 * REMOVED + 4 * RANDOM
