"""What the page is about: a set of prompts, a circuit on it, and the one that is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from analysis.effects.circuit import (
    MAX_HEADS,
    MAX_WIRES,
    HeadCircuit,
    Wire,
    circuit_of,
    parse_circuit,
    parse_circuits,
)
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.kept import kept_property
from app.components.progress import wanted
from app.compute import calls
from app.links.parsers import NO_HEAD
from app.links.selection import Selection
from app.links.session import choose
from app.links.subject import Subject
from app.sections.shared.cancel import stoppable

if TYPE_CHECKING:
    from analysis.effects.set_edges import SetEdges
    from analysis.models.info import ModelInfo
    from analysis.sets.fitted import FittedSet
    from analysis.sets.metrics import Metric

# Heads of the found circuit that the page begins with.
FIRST = 8
# Forward passes for each layer that the search takes, roughly.
_PASSES = 1
# What F is, by the set's metric, and in which unit.
NAMES = {
    "logit_diff": "logit difference",
    "log_prob": "log-probability of the answer",
    "loss": "loss, taken negative",
}
UNITS = {"logit_diff": "logits", "log_prob": "nats", "loss": "nats per token"}


@dataclass(frozen=True)
class BuildView:
    """What every section needs; `ranked` is None where no edges are known, `refused` why."""

    selection: Selection
    prompts: FittedSet
    ranked: SetEdges | None
    refused: str
    circuit: HeadCircuit

    @classmethod
    def of(cls, selection: Selection) -> BuildView:
        """The circuit of the link; without one, what the search finds."""
        prompts = calls.fitted_set(selection)
        ranked, refused = _search(selection, prompts)
        text = selection["circuit"]
        if text is None:
            circuit = _found(ranked, FIRST) if ranked else circuit_of(())
        else:
            circuit = circuit_of(()) if text == NO_HEAD else parse_circuit(text)
        return cls(selection, prompts, ranked, refused, circuit)

    @property
    def subject(self) -> Subject:
        """The set and the circuit."""
        return Subject(
            self.selection,
            heads=self.circuit.heads,
            circuits=(self.circuit,),
            prompts=self.prompts,
            method=self.selection["method"],
        )

    @property
    def kept(self) -> tuple[HeadCircuit, ...]:
        """The circuits that are kept beside it."""
        return parse_circuits(self.selection["beside"])

    @property
    def metric(self) -> Metric:
        """What is measured."""
        if self.prompts.has_foils:
            return "logit_diff"
        return "log_prob" if self.prompts.has_answers else "loss"

    @kept_property
    def found(self) -> HeadCircuit | None:
        """The circuit that the search finds, as large as this one."""
        if self.ranked is None or not self.circuit.heads:
            return None
        wires = self.circuit.wires
        return _found(self.ranked, len(self.circuit.heads), None if wires is None else len(wires))

    @kept_property
    def ids(self) -> np.ndarray:
        """The set's tokens and a number for the circuit: what a question about it is about."""
        mark = [crc32(self.circuit.text.encode())]
        return np.concatenate([np.concatenate([row.ids for row in self.prompts.rows]), mark])


def take(circuit: HeadCircuit) -> None:
    """Make this the circuit; one that a link has no room for is left as it is."""
    if len(circuit.heads) <= MAX_HEADS and len(circuit.wires or ()) <= MAX_WIRES:
        choose(circuit=circuit.text if circuit.heads else NO_HEAD)


def toggled(circuit: HeadCircuit, head: Head) -> HeadCircuit:
    """A circuit with a head, or without it where it has that."""
    if head in circuit.heads:
        return circuit.without([head])
    return circuit_of((*circuit.heads, head), circuit.wires)


def rewired(circuit: HeadCircuit, wire: Wire) -> HeadCircuit:
    """The same of a chosen edge."""
    wires = circuit.wires or ()
    kept = [other for other in wires if other != wire]
    return circuit_of(circuit.heads, kept if wire in wires else (*wires, wire))


def passes_of(info: ModelInfo, runs: float) -> float:
    """So many runs as forward passes: only the ends of prompts are unembedded."""
    return runs * max(0.1, 1 - 2 * info.d_vocab * info.d_model / max(info.n_params, 1))


def _found(ranked: SetEdges, heads: int, wires: int | None = None) -> HeadCircuit:
    from analysis.effects.set_edges import found_circuit  # with torch, which is there by then

    return found_circuit(ranked, heads, wires)


def _search(selection: Selection, prompts: FittedSet) -> tuple[SetEdges | None, str]:
    info = selection.info
    ids = np.concatenate([row.ids for row in prompts.rows])
    if not wanted(info, ids, "Find the circuit", passes_of(info, _PASSES * info.n_layers)):
        return None, ""
    try:
        with stoppable("Finding the circuit") as progress:
            return calls.set_edges(selection, progress), ""
    except AnalysisError as error:
        return None, str(error)
