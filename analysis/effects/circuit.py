"""A circuit built by hand: some heads, and the edges between them, as a link can hold it.

Free of torch, so that a page can read and show a circuit before anything is run.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.info import ModelInfo

EdgeInput = Literal["q", "k", "v", "logits"]
MAX_HEADS, MAX_WIRES = 40, 40
# Circuits beside each other: so many still fit into a link.
MAX_CIRCUITS = 4
_BEFORE_WIRES, _BETWEEN = "_", ";"
_WIRE = re.compile(r"(L\d{1,4}H\d{1,4})-(?:L(\d{1,4})([QKV])(\d{1,4})|logits)")


@dataclass(frozen=True, order=True, slots=True)
class Wire:
    """An edge from a head to one input of a later head, or to the logits.

    For k and v `head` counts key/value heads. The logits are in no layer: `layer` and `head` are
    then -1.
    """

    writer: Head
    layer: int
    head: int
    input: EdgeInput

    @property
    def text(self) -> str:
        """Such as `L0H1-L1K4`, or `L1H4-logits`."""
        if self.input == "logits":
            return f"{self.writer.label}-logits"
        return f"{self.writer.label}-L{self.layer}{self.input.upper()}{self.head}"

    def readers(self, info: ModelInfo) -> tuple[Head, ...]:
        """The query heads that read through it; none for the logits."""
        if self.input == "logits":
            return ()
        group = group_of(info, self.input)
        return tuple(Head(self.layer, self.head * group + i) for i in range(group))


@dataclass(frozen=True, slots=True)
class HeadCircuit:
    """Heads in order, and of the edges between them only `wires`; None: all of them."""

    heads: tuple[Head, ...]
    wires: tuple[Wire, ...] | None = None

    @property
    def text(self) -> str:
        """As a link holds it, such as `L0H1,L1H4` or `L0H1,L1H4_L0H1-L1K4,L1H4-logits`."""
        heads = ",".join(head.label for head in self.heads)
        if self.wires is None:
            return heads
        return heads + _BEFORE_WIRES + ",".join(wire.text for wire in self.wires)

    def without(self, heads: Collection[Head]) -> "HeadCircuit":
        """The rest of it."""
        return circuit_of(
            [head for head in self.heads if head not in heads],
            None if self.wires is None else [w for w in self.wires if w.writer not in heads],
        )


def circuit_of(heads: Collection[Head], wires: Collection[Wire] | None = None) -> HeadCircuit:
    """A circuit with each head and edge once, in order."""
    return HeadCircuit(
        tuple(sorted(set(heads))), None if wires is None else tuple(sorted(set(wires), key=_place))
    )


def parse_circuit(text: str) -> HeadCircuit:
    """The circuit that a text stands for.

    Raises:
        AnalysisError: It does not read like `L0H1,L1H4_L0H1-L1K4,L1H4-logits`, an edge begins at a
            head outside it, or there are more heads or edges than a link holds.
    """
    heads, mark, wires = text.partition(_BEFORE_WIRES)
    try:
        own = [Head.parse(label) for label in heads.split(",")] if heads else []
    except ValueError as error:
        raise AnalysisError(f"{error}.") from None
    found = circuit_of(own, [_wire(each) for each in wires.split(",") if each] if mark else None)
    if len(found.heads) > MAX_HEADS or len(found.wires or ()) > MAX_WIRES:
        raise AnalysisError(
            f"A circuit here has at most {MAX_HEADS} heads and {MAX_WIRES} chosen edges; this one "
            f"has {len(found.heads)} and {len(found.wires or ())}."
        )
    if any(wire.writer not in found.heads for wire in found.wires or ()):
        raise AnalysisError("An edge begins at a head that is not in the circuit.")
    return found


def parse_circuits(text: str) -> tuple[HeadCircuit, ...]:
    """Several circuits, each once.

    Raises:
        AnalysisError: As `parse_circuit`, or more than `MAX_CIRCUITS`.
    """
    found = tuple(dict.fromkeys(parse_circuit(each) for each in text.split(_BETWEEN) if each))
    if len(found) > MAX_CIRCUITS:
        raise AnalysisError(f"At most {MAX_CIRCUITS} circuits are kept; these are {len(found)}.")
    return found


def circuits_text(circuits: Collection[HeadCircuit]) -> str:
    """What `parse_circuits` reads."""
    return _BETWEEN.join(circuit.text for circuit in circuits)


def fitted_circuit(circuit: HeadCircuit, info: ModelInfo) -> HeadCircuit:
    """What of it a model has: its heads, and edges between them that lead upwards."""
    heads = [h for h in circuit.heads if h.layer < info.n_layers and h.head < info.n_heads]
    if circuit.wires is None:
        return circuit_of(heads)
    return circuit_of(heads, [wire for wire in circuit.wires if _fits(wire, heads, info)])


def group_of(info: ModelInfo, each: EdgeInput) -> int:
    """How many query heads read one head's queries, keys or values."""
    return 1 if each == "q" else info.n_heads // (info.n_kv_heads or info.n_heads)


def _fits(wire: Wire, heads: Collection[Head], info: ModelInfo) -> bool:
    if wire.writer not in heads:
        return False
    if wire.input == "logits":
        return True
    return wire.layer > wire.writer.layer and any(head in heads for head in wire.readers(info))


def _wire(text: str) -> Wire:
    match = _WIRE.fullmatch(text)
    if not match:
        raise AnalysisError(f"{text!r} is not an edge such as L0H1-L1K4 or L1H4-logits.")
    writer = Head.parse(match[1])
    if match[2] is None:
        return Wire(writer, -1, -1, "logits")
    inputs: dict[str, EdgeInput] = {"Q": "q", "K": "k", "V": "v"}
    return Wire(writer, int(match[2]), int(match[4]), inputs[match[3]])


def _place(wire: Wire) -> tuple[Head, bool, int, int, str]:
    """The logits last."""
    return (wire.writer, wire.input == "logits", wire.layer, wire.head, wire.input)
