"""The circuit that a set of prompts needs most: every edge between heads, by what it is worth."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from analysis.effects.circuit import MAX_HEADS, HeadCircuit, Wire, circuit_of
from analysis.effects.edges import Edge, RankedEdges, estimate_edges, require_edges
from analysis.effects.groups import Replaced, replacer
from analysis.effects.replacements import Method, check_method
from analysis.errors import AnalysisError
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits
from analysis.runs.suffix import z_points
from analysis.sets.fitted import Batch, FittedSet, fit_set
from analysis.sets.metrics import BETTER, Metric, RowReader, parts, require_metric
from analysis.sets.rows import PromptSet

# Numbers in what all heads write to the stream at once, 128 MiB.
WRITTEN_AT_ONCE = 2**25


@dataclass(frozen=True, eq=False)
class SetEdges(RankedEdges):
    """Every edge with its estimated effect on a set's metric, in the metric's unit."""

    metric: Metric
    method: Method


def set_edges(
    model: HeadModel,
    prompts: PromptSet | FittedSet,
    method: Method = "mean",
    metric: Metric | None = None,
    *,
    seed: int = 0,
    prepend_bos: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> SetEdges:
    """Estimate, for every edge between heads, what it is worth to a set of prompts.

    As `edge_attribution`, with the mean over rows of the metric in place of the loss: positive, the
    task suffers without it. Source: Syed et al. 2023.

    Args:
        model: The model; its lock is taken for each pass.
        prompts: The set, or as a model reads it.
        method: What a cut writer is replaced by, as in `group_metrics`.
        metric: By default the set's own.
        seed: Which row takes the place of which, for "resample".
        prepend_bos: As in `fit_set`, for a set that is not fitted yet.
        progress: Called without the lock as `progress(rows done, rows)`. It may raise to cancel.

    Raises:
        AnalysisError: As `edge_attribution` and `group_metrics`.
    """
    check_method(method)
    require_edges(model)
    fitted = prompts if isinstance(prompts, FittedSet) else fit_set(model, prompts, prepend_bos)
    chosen = require_metric(fitted, metric)
    replaced = replacer(model, fitted, method, seed)
    ranked: tuple[Edge, ...] = ()
    rows = len(fitted.rows)
    at_once = WRITTEN_AT_ONCE // (model.n_layers * model.n_heads * model.d_model)
    done = 0
    for batch in parts(fitted, max(1, at_once)):
        if method == "resample" and len(batch.rows) < 2:
            raise AnalysisError(
                "Too few rows of one length are run at once for one to take another's place. "
                "Choose zero or mean."
            )
        cost = _cost(batch, chosen, rows)
        put = _put(model, batch, replaced)
        _, edges = estimate_edges(model, batch.tokens, cost, put)
        ranked = _added(ranked, edges) if ranked else edges
        done += len(batch.rows)
        if progress:
            progress(done, rows)
    return SetEdges(ranked, chosen, method)


def found_circuit(ranked: RankedEdges, heads: int, wires: int | None = None) -> HeadCircuit:
    """The circuit that the strongest edges make, each of which lies on a path to the logits.

    Args:
        ranked: Every edge.
        heads: At most so many heads: as many of the strongest edges are taken as leave no more.
        wires: At most so many edges, of which the circuit then consists; None: heads with all
            edges between them.
    """
    low, high = 0, len(ranked.edges)
    found: tuple[Edge, ...] = ()
    most = min(heads, MAX_HEADS)
    while low < high:  # the more edges, the more heads
        middle = min((low + high) // 2, 2 * low + 8)
        edges = ranked.above(abs(ranked.edges[middle].score))
        few = len({edge.writer for edge in edges}) <= most
        if few and (wires is None or len(edges) <= wires):
            found, low = edges, middle + 1
        else:
            high = middle
    return circuit_of({edge.writer for edge in found}, None if wires is None else map_wires(found))


def map_wires(edges: tuple[Edge, ...]) -> tuple[Wire, ...]:
    """Edges as a circuit holds them."""
    return tuple(
        Wire(edge.writer, edge.reader.layer, edge.reader.head, edge.reader.input) for edge in edges
    )


def _cost(batch: Batch, metric: Metric, rows: int) -> Callable[[Tensor], Tensor]:
    """Of logits, what the rows of a batch add to the mean over all rows; the less, the better."""
    reader = RowReader(metric, batch)

    def cost(logits: Tensor) -> Tensor:
        read = reader.read(logits[:, reader.positions], reader.positions)
        return -BETTER[metric] * reader.reduce(read).sum() / rows

    return cost


def _put(
    model: HeadModel, batch: Batch, replaced: Callable[[Batch, list[Tensor]], Replaced]
) -> Callable[[int, Tensor], Tensor]:
    """By layer, what takes the place of z in a batch."""
    points = z_points(model)
    kept = run_without_logits(model, batch.tokens.tensor, points)
    put = replaced(batch, [kept[point] for point in points])
    return lambda layer, z: put[layer]


def _added(some: tuple[Edge, ...], more: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """The same edges, by the sum of what they are worth; the strongest first."""
    scores = {(edge.writer, edge.reader): edge.score for edge in more}
    both = [
        Edge(edge.writer, edge.reader, edge.score + scores[edge.writer, edge.reader])
        for edge in some
    ]
    return tuple(sorted(both, key=lambda edge: -abs(edge.score)))
