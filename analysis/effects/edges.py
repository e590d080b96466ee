"""Finding circuits: which edges between heads carry the prediction, and what they alone can do."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.definitions import LEAST_SHARED
from analysis.effects.circuit import EdgeInput
from analysis.effects.replacements import (
    Method,
    check_method,
    reference_z,
    replaced_z,
    replacement,
)
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.capabilities import require_head_writes, require_plain_reads
from analysis.models.loading import HeadModel
from analysis.runs.forward import (
    Hook,
    next_token_log_probs,
    norm_gradients,
    run,
    run_with_gradients,
    run_without_logits,
)
from analysis.runs.inputs import Tokens
from analysis.runs.suffix import kv_heads, record, z_points
from analysis.runs.writes import (
    norm_after_heads,
    output_weights,
    scale_after_heads,
    write_points,
    written_z,
)

_INPUTS: tuple[EdgeInput, ...] = ("q", "k", "v")
# What is lost, of the logits [batch, pos, d_vocab]: the less, the better.
Cost = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Reader:
    """One input of one head, or the logits.

    For k and v `head` counts key/value heads, through each of which `group` query heads read. The
    logits are in no layer: `layer` and `head` are then -1.
    """

    layer: int
    head: int
    input: EdgeInput
    group: int = 1

    @property
    def label(self) -> str:
        """Such as `L1H4.K`, `L1KV0.K` where it is shared, or `logits`."""
        if self.input == "logits":
            return "logits"
        kind = "H" if self.group == 1 else "KV"
        return f"L{self.layer}{kind}{self.head}.{self.input.upper()}"

    @property
    def heads(self) -> tuple[Head, ...]:
        """The query heads that read through it; none for the logits."""
        if self.input == "logits":
            return ()
        first = self.head * self.group
        return tuple(Head(self.layer, first + i) for i in range(self.group))


@dataclass(frozen=True, slots=True)
class Edge:
    """The direct path from a head to a later reader; `score` is what losing it costs."""

    writer: Head
    reader: Reader
    score: float

    @property
    def label(self) -> str:
        """Such as `L0H0 → L1H4.K`."""
        return f"{self.writer.label} → {self.reader.label}"


@dataclass(frozen=True, eq=False)
class RankedEdges:
    """Every edge of a model, the largest size of its score first."""

    edges: tuple[Edge, ...]

    def above(self, threshold: float) -> tuple[Edge, ...]:
        """The edges of that size or more which lie on a path to the logits.

        An edge into a head none of whose own edges is strong enough explains nothing and is left
        out.
        """
        strong = [edge for edge in self.edges if abs(edge.score) >= threshold]
        kept: set[Edge] = set()
        live: set[Head] = set()
        # Readers are in later layers than their writers: one pass from the last layer down.
        for edge in sorted(strong, key=lambda edge: -edge.writer.layer):
            if edge.reader.input == "logits" or not live.isdisjoint(edge.reader.heads):
                kept.add(edge)
                live.add(edge.writer)
        return tuple(edge for edge in strong if edge in kept)


@dataclass(frozen=True, eq=False)
class EdgeAttribution(RankedEdges):
    """Every edge with its estimated effect on the loss, nats per token."""

    clean_loss: float
    method: Method
    seed: int


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """The loss when only some edges are left, nats per token.

    `empty_loss` is the loss with no edge at all: what embeddings, biases, MLPs and replacements
    predict by themselves.
    """

    loss: float
    clean_loss: float
    empty_loss: float
    kept: int
    total: int

    @property
    def recovered(self) -> float:
        """Share of what the edges do that the kept ones do: 1 all of it, 0 none; it may exceed 1.

        NaN where that would mislead; `no_share` then says why.
        """
        gap = self.empty_loss - self.clean_loss
        return float("nan") if self.no_share else (self.empty_loss - self.loss) / gap

    @property
    def no_share(self) -> str:
        """Why a share of what the edges do would mislead here; empty where it says something."""
        if self.empty_loss - self.clean_loss >= LEAST_SHARED:
            return ""
        losses = (
            f"With all edges the loss is {self.clean_loss:.3f} nats per token, without any "
            f"{self.empty_loss:.3f}"
        )
        if self.empty_loss < self.clean_loss:
            return f"{losses}: here they do harm, so there is no share. Choose other tokens."
        return (
            f"{losses}. A share of less than {LEAST_SHARED:g} would be noise. Choose other tokens."
        )


def edge_attribution(
    model: HeadModel, tokens: Tokens, method: Method = "mean", seed: int = 0
) -> EdgeAttribution:
    """Estimate, for every edge between heads, what cutting it alone does to the loss.

    score = sum over sequences, positions and d_model of d loss / d (the reader's own copy of the
    stream) · (replacement - z) W_O of the writer (over the frozen scale of a norm that follows the
    heads' sum): one forward and one backward pass, and the norm before each reader. Positive: the
    edge helps. Readers are the q, k and v of every later head and the logits; what heads write to
    MLPs is left alone. Source: Nanda 2023; Syed et al. 2023.

    Args:
        model: The model; its lock is taken for each pass.
        tokens: Its tokens; the loss is that of `tokens.scored`.
        method: What replaces the writer's z: as in `analysis.ablation_sweep`.
        seed: Which sequence takes the place of which, for "resample".

    Raises:
        AnalysisError: As `ablation_sweep`.
    """
    check_method(method)
    require_edges(model)
    others = reference_z(model, tokens, method, seed)
    loss, edges = estimate_edges(
        model,
        tokens,
        lambda logits: _loss(logits, tokens),
        lambda layer, z: replacement(z, method, seed, others[layer]),
    )
    return EdgeAttribution(edges, clean_loss=loss, method=method, seed=seed)


def require_edges(model: HeadModel) -> None:
    """AnalysisError if what heads write and read cannot be told apart in this model."""
    require_head_writes(model.info)
    require_plain_reads(model.info)


def estimate_edges(
    model: HeadModel, tokens: Tokens, cost: Cost, replaced: Callable[[int, Tensor], Tensor]
) -> tuple[float, tuple[Edge, ...]]:
    """The cost as it is, and every edge with what cutting it alone does to that, to first order.

    Args:
        model: The model; its lock is taken for each pass.
        tokens: What it is run on.
        cost: What is lost, of its logits.
        replaced: What takes the place of a layer's z [batch, pos, head, d_head].
    """
    last = f"blocks.{model.n_layers - 1}.hook_resid_post"
    layers = range(model.n_layers)
    names = [f"blocks.{layer}.hook_resid_pre" for layer in layers] + [last]
    names += [f"blocks.{layer}.attn.hook_{each}" for layer in layers for each in ("q", "k", "v")]
    names += z_points(model)
    loss, seen, slopes = run_with_gradients(model, tokens.tensor, names, cost)
    scales = [point for point in write_points(model, layers) if point not in names]
    if scales:  # without gradients: a norm whose scale is watched with them takes another road
        seen |= run_without_logits(model, tokens.tensor, scales)
    changes = []
    for layer, point in enumerate(z_points(model)):
        write = written_z(seen, layer, replaced(layer, seen[point]) - seen[point])
        changes.append(torch.einsum("bphe,hem->hbpm", write, output_weights(model, layer)))
    edges: list[Edge] = []

    def score(writer_layers: range, readers: list[Reader], slope: Tensor) -> None:
        for layer in writer_layers:
            scores = torch.einsum("hbpm,rbpm->hr", changes[layer], slope).tolist()
            for head, row in enumerate(scores):
                writer = Head(layer, head)  # one for all: of many heads there are a million edges
                edges.extend(
                    Edge(writer, reader, value) for reader, value in zip(readers, row, strict=True)
                )

    for layer in layers[1:]:
        for each in _INPUTS:
            weights = getattr(model.bridge.blocks[layer].attn, f"W_{each.upper()}").detach()
            after = torch.einsum(
                "bphe,hme->hbpm", slopes[f"blocks.{layer}.attn.hook_{each}"], weights
            )
            before = norm_gradients(model, layer, seen[names[layer]], after)
            score(range(layer), _readers(model, layer, each), before)
    score(layers[:], [Reader(-1, -1, "logits")], slopes[last][None])
    edges.sort(key=lambda edge: -abs(edge.score))
    return float(loss), tuple(edges)


def faithfulness(
    model: HeadModel,
    tokens: Tokens,
    edges: Iterable[Edge],
    method: Method = "mean",
    seed: int = 0,
) -> Faithfulness:
    """The loss when every other edge between heads is cut, in one exact forward pass.

    Each reader's query, key or value is worked out from its own copy of the stream, in which the
    writers that it has no edge from are exchanged for their replacement. Embeddings, biases,
    MLPs and what heads write to MLPs stay. Source: Wang et al. 2022; Conmy et al. 2023.

    Args:
        model: The model; its lock is taken for each of three passes.
        tokens: Its tokens; the loss is that of `tokens.scored`.
        edges: The edges to keep, such as `EdgeAttribution.above(threshold)`.
        method: What a cut writer is replaced by.
        seed: As in `edge_attribution`.

    Raises:
        AnalysisError: As `edge_attribution`.
    """
    check_method(method)
    require_edges(model)
    recording = record(model, tokens.tensor, z_points(model))
    layers = range(model.n_layers)
    replaced = replaced_z(model, tokens, map(recording.z, layers), method, seed)
    cut = CutRuns(model, tokens, replaced)
    kept = cut.checked(edges)
    return Faithfulness(
        loss=float(_loss(cut.logits(kept), tokens)),
        clean_loss=float(_loss(recording.logits, tokens)),
        empty_loss=float(_loss(cut.logits(set()), tokens)),
        kept=len(kept),
        total=cut.total,
    )


class CutRuns:
    """Runs of a model in which some edges between heads are cut.

    Args:
        model: The model; its lock is taken for each pass.
        tokens: What it is run on.
        replaced: By layer, what cut writers carry in place of z.
    """

    def __init__(self, model: HeadModel, tokens: Tokens, replaced: Sequence[Tensor]) -> None:
        self._model, self._tokens, self._replaced = model, tokens, replaced
        self._logits = Reader(-1, -1, "logits")
        # By reader, how many layers write before it.
        self._before = {self._logits: model.n_layers}
        for layer in range(model.n_layers):
            for each in _INPUTS:
                self._before |= dict.fromkeys(_readers(model, layer, each), layer)
        self.total = sum(self._before.values()) * model.n_heads

    def checked(self, edges: Iterable[Edge]) -> set[tuple[Head, Reader]]:
        """Edges by their ends; AnalysisError for what the model does not have."""
        kept = {(edge.writer, edge.reader) for edge in edges}
        n_heads = self._model.n_heads
        unknown = sum(
            not (0 <= writer.layer < self._before.get(reader, 0) and 0 <= writer.head < n_heads)
            for writer, reader in kept
        )
        if unknown:
            raise AnalysisError(f"There are {unknown} edges that {self._model.name} does not have.")
        return kept

    def logits(
        self, kept: set[tuple[Head, Reader]], gone: Collection[Head] = ()
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """The logits when every other edge is cut, in one exact pass.

        What heads of `gone` write is exchanged for everybody, MLPs too.
        """
        model = self._model
        changes: list[Tensor] = []  # by layer: [head, batch, pos, d_model]
        stream: list[Tensor] = []
        writers: dict[Reader, list[Head]] = {}  # that are kept
        for writer, reader in kept:
            writers.setdefault(reader, []).append(writer)

        def note_stream(resid: Tensor, hook: object) -> None:
            stream.append(resid)

        def note_writes(layer: int) -> Hook:
            out = [head.head for head in gone if head.layer == layer]

            def note(z: Float[Tensor, "batch pos head d_head"], hook: object) -> Tensor | None:
                if out:
                    z = z.clone()
                    z[:, :, out] = self._replaced[layer].expand_as(z)[:, :, out]
                change = self._replaced[layer] - z
                weights = output_weights(model, layer)
                changes.append(torch.einsum("bphe,hem->hbpm", change, weights))
                return z if out else None

            return note

        def note_scale(layer: int) -> Hook:
            def note(scale: Float[Tensor, "batch pos 1"], hook: object) -> None:
                changes[layer] = changes[layer] / scale

            return note

        def missing(readers: list[Reader], layers: int) -> Tensor:
            """What exchanging the cut writers of the first layers adds, by reader."""
            gone = torch.zeros(())
            masks = torch.ones(layers, len(readers), model.n_heads)
            for row, reader in enumerate(readers):
                for writer in writers.get(reader, ()):
                    masks[writer.layer, row, writer.head] = 0
            for layer, mask in enumerate(masks):
                gone = gone + torch.einsum("rh,hbpm->rbpm", mask.to(changes[layer]), changes[layer])
            return gone

        def read_again(layer: int, each: EdgeInput) -> Hook:
            attention = model.bridge.blocks[layer].attn
            weights = getattr(attention, f"W_{each.upper()}")
            bias = getattr(attention, f"b_{each.upper()}")

            def read(activation: Tensor, hook: object) -> Tensor:
                own = stream[layer] + missing(_readers(model, layer, each), layer)
                normed = model.bridge.blocks[layer].ln1(own.flatten(0, 1)).view_as(own)
                if model.info.positions == "shortformer" and each != "v":
                    normed = normed + model.bridge.W_pos[: own.shape[2]]
                again = torch.einsum("hbpm,hme->bphe", normed, weights)
                return again if bias is None else again + bias

            return read

        def read_logits(resid: Tensor, hook: object) -> Tensor:
            return resid + missing([self._logits], model.n_layers)[0]

        hooks: list[tuple[str, Hook]] = []
        for layer in range(model.n_layers):
            block = f"blocks.{layer}"
            hooks.append((f"{block}.hook_resid_pre", note_stream))
            if layer:
                hooks += [(f"{block}.attn.hook_{i}", read_again(layer, i)) for i in _INPUTS]
            hooks.append((f"{block}.attn.hook_z", note_writes(layer)))
            if norm_after_heads(model, layer) is not None:
                hooks.append((scale_after_heads(layer), note_scale(layer)))
        hooks.append((f"blocks.{model.n_layers - 1}.hook_resid_post", read_logits))
        logits, _ = run(model, self._tokens.tensor, hooks=hooks)
        return logits


def _readers(model: HeadModel, layer: int, each: EdgeInput) -> list[Reader]:
    heads = model.n_heads if each == "q" else kv_heads(model)
    return [Reader(layer, head, each, model.n_heads // heads) for head in range(heads)]


def _loss(logits: Tensor, tokens: Tokens) -> Tensor:
    return -next_token_log_probs(logits, tokens.tensor)[:, tokens.scored].mean()
