"""How good a circuit is: is it enough, does it lack something, and is each of its parts needed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import comb, prod

import numpy as np
from jaxtyping import Float

from analysis.arrays import freeze, to_numpy
from analysis.definitions import LEAST_SHARED
from analysis.effects.circuit import (
    HeadCircuit,
    Wire,
    circuit_of,
    fitted_circuit,
    group_of,
    parse_circuit,
)
from analysis.effects.edges import CutRuns, Reader, require_edges
from analysis.effects.groups import DRAWS, Group, group_metrics, replacer
from analysis.effects.replacements import Method, check_method
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads, require_heads
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits
from analysis.runs.suffix import z_points
from analysis.sets.fitted import FittedSet, fit_set
from analysis.sets.metrics import BETTER, Metric, RowReader, parts, require_metric
from analysis.sets.rows import PromptSet

Progress = Callable[[int, int], None]
# Of a circuit's heads, taken out together to see whether the model changes as the circuit does.
REMOVALS = 10


@dataclass(frozen=True, eq=False)
class RandomCircuits:
    """Circuits of as many heads of each layer, drawn at random, with the same numbers of each.

    `faithfulness` is F(R). `whole_without` and `circuit_without` are F(M without K) and F(R without
    K) for one random K of each, of `removed`; `need` is F(R) - F(R without h) for one random head
    of each, of `single`.
    """

    circuits: tuple[HeadCircuit, ...]
    faithfulness: Float[np.ndarray, " draw"]
    removed: tuple[Group, ...]
    whole_without: Float[np.ndarray, " draw"]
    circuit_without: Float[np.ndarray, " draw"]
    single: tuple[Head, ...]
    need: Float[np.ndarray, " draw"]

    def __post_init__(self) -> None:
        freeze(self, "faithfulness", "whole_without", "circuit_without", "need")

    @property
    def gap(self) -> Float[np.ndarray, " draw"]:
        """|F(M without K) - F(R without K)| of each."""
        return np.abs(self.whole_without - self.circuit_without)


@dataclass(frozen=True, eq=False)
class CircuitScore:
    """Faithfulness, completeness and minimality of a circuit C of a model M on a set of prompts.

    F is the mean of the set's metric over rows (of the loss: its negative, so that more is better)
    where all heads outside a circuit, and all edges that it leaves out, carry a replacement.

    `whole` is F(M), `empty` F of no head, `by_row` F(C) for every row. `whole_without` and
    `circuit_without` are F(M without K) and F(C without K) for each K of `removed`. `head_needs`
    has F(C) - F(C without h) for each head, and `wire_needs` F(C) - F(C without e) for each chosen
    edge. `random` is None where no other circuit has as many heads of each layer.
    """

    circuit: HeadCircuit
    metric: Metric
    method: Method
    whole: float
    empty: float
    by_row: Float[np.ndarray, " row"]
    removed: tuple[Group, ...]
    whole_without: Float[np.ndarray, " removal"]
    circuit_without: Float[np.ndarray, " removal"]
    head_needs: Float[np.ndarray, " head"]
    wire_needs: Float[np.ndarray, " wire"]
    random: RandomCircuits | None = None

    def __post_init__(self) -> None:
        if len(self.head_needs) != len(self.circuit.heads):
            raise ValueError(f"{len(self.head_needs)} numbers of {len(self.circuit.heads)} heads")
        freeze(self, "by_row", "whole_without", "circuit_without", "head_needs", "wire_needs")

    @property
    def faithfulness(self) -> float:
        """F(C), to be compared with F(M)."""
        return float(self.by_row.mean())

    @property
    def completeness(self) -> float:
        """Mean over K of |F(M without K) - F(C without K)|: 0 if nothing is missing.

        NaN where no K was tried.
        """
        gaps = np.abs(self.whole_without - self.circuit_without)
        return float(gaps.mean()) if len(gaps) else float("nan")

    @property
    def minimality(self) -> dict[Head, float]:
        """F(C) - F(C without h) for each head: 0, it is not needed."""
        return dict(zip(self.circuit.heads, self.head_needs.tolist(), strict=True))

    @property
    def of_wires(self) -> dict[Wire, float]:
        """F(C) - F(C without e) for each chosen edge."""
        return dict(zip(self.circuit.wires or (), self.wire_needs.tolist(), strict=True))

    @property
    def recovered(self) -> float:
        """Share of what all heads do that the circuit does; NaN where `no_share` says why."""
        return self.share_of(self.faithfulness)

    def share_of(self, value: float) -> float:
        """(value - F of no head) / (F(M) - F of no head); NaN as `recovered`."""
        gap = self.whole - self.empty
        return float("nan") if self.no_share else (value - self.empty) / gap

    @property
    def no_share(self) -> str:
        """Why a share of what all heads do would mislead here; empty where it says something."""
        return no_share(self.whole, self.empty)


def no_share(whole: float, empty: float) -> str:
    """Why a share of what heads do would mislead; empty where it says something."""
    if whole - empty >= LEAST_SHARED:
        return ""
    both = f"With all heads F is {whole:+.3f}, with none {empty:+.3f}"
    if empty > whole:
        return f"{both}: on these prompts they do harm, so there is no share."
    return f"{both}. A share of less than {LEAST_SHARED:g} would be noise."


def circuit_score(
    model: HeadModel,
    prompts: PromptSet | FittedSet,
    heads: HeadCircuit | str | Sequence[Head],
    method: Method = "mean",
    draws: int = DRAWS,
    seed: int = 0,
    *,
    metric: Metric | None = None,
    removals: int = REMOVALS,
    parts_alone: bool = True,
    prepend_bos: bool = True,
    progress: Progress | None = None,
) -> CircuitScore:
    """Whether a circuit is enough, whether it lacks something, and whether each part is needed.

    Every number is a run of its own (`circuit_metrics`). K holds each of the circuit's heads with
    probability 1/2, and no two K are alike. Random circuits have as many heads of each layer, and
    the same edges between them. Source: Wang et al. 2022, sections 3 and 4.

    Args:
        model: The model. Its lock is taken for a few circuits at a time.
        prompts: The set, or as a model reads it.
        heads: The circuit, as such or as a link holds it (`parse_circuit`), or heads with all edges
            between them.
        method: What takes the place of the rest, as in `group_metrics`.
        draws: How many random circuits; fewer where there are not as many.
        seed: Of K, of random circuits, and of "resample".
        metric: By default the set's own.
        removals: How many K; fewer where the circuit does not have as many.
        parts_alone: Whether the circuit is run without each of its heads and chosen edges; without
            it, what they are worth is NaN.
        prepend_bos: As in `fit_set`, for a set that is not fitted yet.
        progress: Called without the lock as `progress(done, all)`. It may raise to cancel.

    Raises:
        AnalysisError: As `group_metrics`; no head, a head or edge that the model does not have.
    """
    if isinstance(heads, str):
        heads = parse_circuit(heads)
    own = heads if isinstance(heads, HeadCircuit) else circuit_of(require_heads(model.info, heads))
    require_heads(model.info, own.heads)
    fitted = prompts if isinstance(prompts, FittedSet) else fit_set(model, prompts, prepend_bos)
    chosen = require_metric(fitted, metric)
    every = circuit_of(all_heads(model.info))
    rng = np.random.default_rng([seed, len(own.heads)])
    removed = _removals(own.heads, removals, rng)
    others = _random_circuits(model.info, own, draws, rng)
    picks = [_removals(other.heads, 1, rng)[0] for other in others]
    single = [(other.heads[int(rng.integers(len(other.heads)))],) for other in others]
    singles = own.heads if parts_alone else ()
    wires = (own.wires or ()) if parts_alone else ()

    def less(circuit: HeadCircuit, heads: Group) -> HeadCircuit:
        return fitted_circuit(circuit.without(heads), model.info)

    asked = [
        *(every, circuit_of(()), own),
        *(less(every, k) for k in removed),
        *(less(own, k) for k in removed),
        *(less(own, (head,)) for head in singles),
        *(circuit_of(own.heads, [w for w in wires if w != wire]) for wire in wires),
        *others,
        *(less(every, k) for k in picks),
        *(less(other, k) for other, k in zip(others, picks, strict=True)),
        *(less(other, h) for other, h in zip(others, single, strict=True)),
    ]
    by_row = BETTER[chosen] * circuit_metrics(
        model, fitted, asked, method, chosen, seed=seed, progress=progress
    )
    take = _Taken(by_row.mean(1))
    whole, empty, faithful = take(3)
    whole_without, circuit_without = take(len(removed)), take(len(removed))
    without_one, without_wire = take(len(singles)), take(len(wires))
    random = [take(len(others)) for _ in range(4)]
    return CircuitScore(
        circuit=own,
        metric=chosen,
        method=method,
        whole=float(whole),
        empty=float(empty),
        by_row=by_row[2].copy(),
        removed=removed,
        whole_without=whole_without,
        circuit_without=circuit_without,
        head_needs=_needs(faithful - without_one, len(own.heads)),
        wire_needs=_needs(faithful - without_wire, len(own.wires or ())),
        random=RandomCircuits(
            circuits=others,
            faithfulness=random[0],
            removed=tuple(picks),
            whole_without=random[1],
            circuit_without=random[2],
            single=tuple(head for (head,) in single),
            need=random[0] - random[3],
        )
        if others
        else None,
    )


def circuit_metrics(
    model: HeadModel,
    fitted: FittedSet,
    circuits: Sequence[HeadCircuit],
    method: Method = "mean",
    metric: Metric | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Float[np.ndarray, "circuit row"]:
    """A set's metric in each row with only the heads of each circuit, and only its edges.

    The z of every other head is replaced, for MLPs too. Where a circuit names its edges, each of
    its heads besides reads its query, key and value from its own copy of the stream, in which
    the writers that it has no edge from are exchanged for their replacement, and so do the logits;
    what heads of the circuit write to MLPs stays.

    Args:
        model: The model. Its lock is taken for a few circuits at a time.
        fitted: The set.
        circuits: The circuits; alike ones are run once.
        method: As in `group_metrics`.
        metric: By default the set's own.
        seed: Which row takes the place of which, for "resample".
        progress: Called without the lock as `progress(done, all)`. It may raise to cancel.

    Raises:
        AnalysisError: As `group_metrics`; a head or an edge that the model does not have; edges
            where what heads write and read cannot be told apart.
    """
    check_method(method)
    for circuit in circuits:
        if fitted_circuit(circuit, model.info) != circuit:
            raise AnalysisError(f"{model.name} does not have all heads and edges of a circuit.")
    every = all_heads(model.info)
    # As the group that is ablated; a circuit whose edges are chosen stands for itself.
    asked: list[Group | HeadCircuit] = [
        tuple(head for head in every if head not in set(circuit.heads))
        if circuit.wires is None
        else circuit
        for circuit in circuits
    ]
    groups = [each for each in dict.fromkeys(asked) if not isinstance(each, HeadCircuit) and each]
    wired = [each for each in dict.fromkeys(asked) if isinstance(each, HeadCircuit)]
    total = max(1, len(groups) + len(wired))

    def told(done: float) -> None:
        if progress:
            progress(int(done), total)

    found = group_metrics(
        model,
        fitted,
        groups,
        method,
        metric,
        seed=seed,
        progress=lambda done, of: told(done / max(1, of) * len(groups)),
    )
    cut = _cut_metrics(
        model, fitted, wired, method, metric, seed, lambda done: told(len(groups) + done)
    )
    values: dict[Group | HeadCircuit, Float[np.ndarray, " row"]] = {(): found.clean}
    values |= dict(zip(groups, found.without, strict=True))
    values |= dict(zip(wired, cut, strict=True))
    return np.stack([values[each] for each in asked])


def _cut_metrics(
    model: HeadModel,
    fitted: FittedSet,
    circuits: Sequence[HeadCircuit],
    method: Method,
    metric: Metric | None,
    seed: int,
    told: Callable[[float], None],
) -> Float[np.ndarray, "circuit row"]:
    """The metric with the heads and the chosen edges of each circuit, one pass for each."""
    values = np.empty((len(circuits), len(fitted.rows)), np.float32)
    if not circuits:
        return values
    require_edges(model)
    replaced = replacer(model, fitted, method, seed)
    points = z_points(model)
    every, chosen = all_heads(model.info), require_metric(fitted, metric)
    batches = list(parts(fitted))
    for number, batch in enumerate(batches):
        kept = run_without_logits(model, batch.tokens.tensor, points)
        reader = RowReader(chosen, batch)
        put = replaced(batch, [kept[point] for point in points])
        runs = CutRuns(model, batch.tokens, put)
        for row, circuit in enumerate(circuits):
            wires = {(wire.writer, _reader(model.info, wire)) for wire in circuit.wires or ()}
            out = [head for head in every if head not in set(circuit.heads)]
            logits = runs.logits(wires, out)[:, reader.positions]
            read = reader.read(logits, reader.positions)
            values[row, batch.rows] = to_numpy(reader.reduce(read))
            told((number * len(circuits) + row + 1) / len(batches))
    return values


def _reader(info: ModelInfo, wire: Wire) -> Reader:
    if wire.input == "logits":
        return Reader(-1, -1, "logits")
    return Reader(wire.layer, wire.head, wire.input, group_of(info, wire.input))


def _removals(heads: Group, count: int, rng: np.random.Generator) -> tuple[Group, ...]:
    """Different sets of some of the heads, each in with probability 1/2."""
    count = min(count, 2 ** len(heads) - 1)
    found: dict[Group, None] = {}
    while len(found) < count:
        taken = rng.random(len(heads)) < 0.5
        if taken.any():
            found[tuple(head for head, out in zip(heads, taken, strict=True) if out)] = None
    return tuple(found)


def _random_circuits(
    info: ModelInfo, own: HeadCircuit, draws: int, rng: np.random.Generator
) -> tuple[HeadCircuit, ...]:
    """Different circuits with as many heads of each layer, and the same edges between them."""
    layers = sorted({head.layer for head in own.heads})
    of_layer = {layer: [h for h in own.heads if h.layer == layer] for layer in layers}
    possible = prod(comb(info.n_heads, len(heads)) for heads in of_layer.values())
    found: dict[Group, HeadCircuit] = {}
    while len(found) < min(draws, possible - 1):
        image = {
            head: Head(head.layer, int(drawn))
            for heads in of_layer.values()
            for head, drawn in zip(
                heads, rng.choice(info.n_heads, len(heads), replace=False), strict=True
            )
        }
        heads = tuple(sorted(image.values()))
        if heads != own.heads:
            found.setdefault(heads, _mapped(own, image, info))
    return tuple(found.values())


def _mapped(own: HeadCircuit, image: dict[Head, Head], info: ModelInfo) -> HeadCircuit:
    """The same edges between other heads; one into a shared key follows the first that uses it."""
    if own.wires is None:
        return circuit_of(image.values())
    wires = []
    for wire in own.wires:
        reads = [image[head] for head in wire.readers(info) if head in image]
        number = reads[0].head // group_of(info, wire.input) if reads else -1
        wires.append(Wire(image[wire.writer], wire.layer, number, wire.input))
    return circuit_of(image.values(), wires)


def _needs(found: Float[np.ndarray, " some"], count: int) -> Float[np.ndarray, " part"]:
    """What parts are worth; NaN for all where none was run without."""
    return found if len(found) == count else np.full(count, np.nan, np.float32)


class _Taken:
    """The numbers of circuits, in the order in which they were asked for."""

    def __init__(self, values: Float[np.ndarray, " circuit"]) -> None:
        self._values: Iterator[float] = iter(values.tolist())

    def __call__(self, count: int) -> Float[np.ndarray, " some"]:
        return np.array([next(self._values) for _ in range(count)], np.float32)
