"""Windows that are run together: what is asked of them, and what comes out, pattern by pattern."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int, UInt16
from torch import Tensor

from analysis.heads.corpus.kept import Record, Wanted
from analysis.heads.corpus.results import KEYS, LEAST, WHOLE
from analysis.heads.corpus.tally import Marks, ScoreMarks, Sums
from analysis.models.capabilities import has_source_effects, has_source_writes
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, run_without_logits
from analysis.runs.reads import read_direction
from analysis.runs.writes import output_gram, output_weights, source_lengths


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """Windows that are run together, as one piece of work.

    `first` is the place of the first in the order of reading, `numbers` are places in the text.
    `edges` and `least` say what heads keep of them, as in `analysis.heads.corpus.kept.Wanted`.
    """

    ids: Int[np.ndarray, "window pos"]
    first: int
    numbers: Int[np.ndarray, " window"]
    edges: Float[np.ndarray, "head edge"] | None
    least: Float[np.ndarray, "head interval"] | None


@dataclass(frozen=True, eq=False)
class WindowsRead:
    """What was read in a batch of windows: the fields of `Sums`, and what heads keep of them.

    Of each record that is kept: row of the batch, head, and as in `Record`.
    """

    ids: Int[np.ndarray, "window pos"]
    distances: Float[np.ndarray, "window head bin"]
    scores: Float[np.ndarray, "window head score"]
    columns: Float[np.ndarray, "window head pos"]
    off_first: Float[np.ndarray, "window head dest"]
    first: Float[np.ndarray, "window head dest"]
    maxima: Float[np.ndarray, "window head"]
    kept_rows: Int[np.ndarray, " record"]
    kept_heads: Int[np.ndarray, " record"]
    kept_keys: UInt16[np.ndarray, "record pos key"]
    kept_attention: UInt16[np.ndarray, "record pos key"]
    kept_values: Float[np.ndarray, " record"]
    kept_norms: Float[np.ndarray, "record pos"]
    kept_effects: Float[np.ndarray, "record pos"]
    # As in `ScoreMarks`.
    counted: Int[np.ndarray, " score"]
    uniform: Float[np.ndarray, "window score"]
    norms: Float[np.ndarray, "window head pos"] | None = None

    @property
    def sums(self) -> Sums:
        """What a tally counts."""
        names = [field.name for field in fields(Sums) if field.name != "norms"]
        norms = None if self.norms is None else tensor_of(self.norms)
        return Sums(norms=norms, **{name: tensor_of(getattr(self, name)) for name in names})

    def records(self, batch: WindowBatch) -> Iterator[tuple[int, Record]]:
        """What heads keep, by head, in the order of the windows."""
        for i in np.argsort(self.kept_rows, kind="stable").tolist():
            row, head = int(self.kept_rows[i]), int(self.kept_heads[i])
            yield (
                head,
                Record(
                    batch.first + row,
                    int(batch.numbers[row]),
                    float(self.maxima[row, head]),
                    self.kept_keys[i],
                    self.kept_attention[i],
                    float(self.kept_values[i]),
                    self.kept_norms[i],
                    self.kept_effects[i],
                ),
            )


class WindowReader:
    """Runs windows, which does not depend on what was read before.

    Args:
        model: The model; its lock is taken for each run.
        window: Positions of a window.
    """

    def __init__(self, model: HeadModel, window: int):
        self._model, self._marks = model, Marks(window)
        self._gram = [output_gram(model, layer) for layer in range(model.n_layers)]

    def __call__(self, batch: WindowBatch) -> WindowsRead:
        """Run some windows."""
        marks = self._marks.scores(batch.ids)
        return _Batch(self._model, batch).read(self._marks.distances, marks, self._gram)


class _Batch:
    """One run of some windows."""

    def __init__(self, model: HeadModel, batch: WindowBatch) -> None:
        self._model, self._wanted = model, Wanted(batch.edges, batch.least)
        self._ids = torch.from_numpy(batch.ids.astype(np.int64))
        names = ("distances", "scores", "columns", "off_first", "first", "largest")
        self._parts: dict[str, list[Tensor]] = {name: [] for name in names}
        # Of what is kept, piece by piece: row of the batch, head, keys and attention.
        self._kept: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def read(
        self,
        distances: Float[Tensor, "cell bin"],
        marks: ScoreMarks,
        gram: Sequence[Float[Tensor, "n_heads d_head d_head"]],
    ) -> WindowsRead:
        """Run them. Patterns are summed up where they arise, and none is kept."""
        model = self._model
        layers = range(model.n_layers)
        value, effect = has_source_writes(model.info), has_source_effects(model.info)
        capture = [f"blocks.{layer}.attn.hook_v" for layer in layers] if value else []
        if effect:
            capture += [f"blocks.{layer}.attn.hook_z" for layer in layers]
            capture += ["ln_final.hook_scale"] if model.info.normalization else []
        hooks = [
            (f"blocks.{layer}.attn.hook_pattern", self._reduce(layer, distances, marks.cells))
            for layer in layers
        ]
        kept = run_without_logits(model, self._ids, capture, hooks)
        parts = {name: torch.cat(each, 1).cpu() for name, each in self._parts.items()}
        largest = parts.pop("largest")  # over queries, at each source
        norms = self._norms(kept, gram) if value else None
        sums = Sums(self._ids, maxima=largest[..., 1:].amax(-1), norms=norms, **parts)
        rows, heads, keys, attention = (
            np.concatenate(each) for each in zip(*(self._kept or [self._none()]), strict=True)
        )
        at = torch.from_numpy(rows), torch.from_numpy(heads)
        unknown = np.full((len(rows), self._ids.shape[1]), np.nan, np.float32)
        effects = unknown.copy()
        if effect:
            effects[:, :-1] = self._effects(kept)[at].numpy()
        lengths, values = unknown, unknown[:, 0].copy()
        if norms is not None:
            lengths = norms[at].numpy()
            values = (largest[at] * norms[at])[:, 1:].amax(-1).numpy()
        return WindowsRead(
            **{name: each.numpy() for name, each in vars(sums).items() if each is not None},
            kept_rows=rows,
            kept_heads=heads,
            kept_keys=keys,
            kept_attention=attention,
            kept_values=values,
            kept_norms=lengths,
            kept_effects=effects,
            counted=marks.counted.numpy(),
            uniform=marks.uniform.numpy(),
        )

    def _none(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        window = self._ids.shape[1]
        keys = np.zeros((0, window, min(KEYS, window)), np.uint16)
        return np.zeros(0, np.int64), np.zeros(0, np.int64), keys, keys

    def _reduce(
        self,
        layer: int,
        distances: Float[Tensor, "cell bin"],
        scores: Float[Tensor, "window score cell"],
    ) -> Hook:
        first_head = layer * self._model.n_heads
        sums_to_1 = self._model.info.traits.rows_sum_to_1
        parts = self._parts

        def look(pattern: Float[Tensor, "window head dest src"], hook: object) -> None:
            cells = pattern.flatten(2)
            parts["distances"].append(cells @ distances.to(cells))
            parts["scores"].append(cells @ scores.to(cells).mT)
            inner = pattern[:, :, 1:]
            first = inner[..., 0]
            parts["columns"].append(inner.sum(2))
            parts["first"].append(first.clone())
            parts["off_first"].append(1 - first if sums_to_1 else inner[..., 1:].sum(-1))
            largest = inner.amax(2)
            parts["largest"].append(largest)
            self._keep(first_head, pattern, largest[..., 1:].amax(-1).cpu().numpy())

        return look

    def _keep(
        self,
        first_head: int,
        pattern: Float[Tensor, "window head dest src"],
        maxima: Float[np.ndarray, "window head"],
    ) -> None:
        for row in range(len(pattern)):
            heads = self._wanted.heads(first_head, maxima[row])
            if heads:
                at = np.array(heads)
                self._kept.append(
                    (np.full(len(at), row), first_head + at, *_sparse(pattern[row, heads]))
                )

    def _norms(
        self, kept: dict[str, Tensor], gram: Sequence[Float[Tensor, "n_heads d_head d_head"]]
    ) -> Float[Tensor, "window head pos"]:
        """|x W_V W_O| of every source, without b_V."""
        found = [
            source_lengths(self._model, layer, kept[f"blocks.{layer}.attn.hook_v"], squares)
            for layer, squares in enumerate(gram)
        ]
        return torch.cat(found, 1).cpu()

    def _effects(self, kept: dict[str, Tensor]) -> Float[Tensor, "window head dest"]:
        """What each head adds to the logit of the token that comes next."""
        model, n_pos = self._model, self._ids.shape[1] - 1
        scale = kept.get("ln_final.hook_scale")
        scale = None if scale is None else scale[:, :n_pos]
        direction, _ = read_direction(model, self._ids[:, 1:].numpy(), None, scale)
        found = []
        for layer in range(model.n_layers):
            z = kept[f"blocks.{layer}.attn.hook_z"][:, :n_pos]
            # First the direction through W_O: one product of the size of the layer's own.
            read = torch.einsum("bpm,hem->bphe", direction, output_weights(model, layer))
            found.append((z * read).sum(-1).transpose(1, 2))
        return torch.cat(found, 1).cpu()


def _sparse(
    pattern: Float[Tensor, "head dest src"],
) -> tuple[np.ndarray, np.ndarray]:
    """The largest keys of each row and their attention in steps of 1 / WHOLE; 0 below `LEAST`."""
    window = pattern.shape[-1]
    size = min(KEYS, window)
    # In parts of the rows, each without the sources that lie after all of them.
    cuts = [*range(0, window, -(-window // 4)), window]
    parts = [
        pattern[:, start:end, : max(end, size)].topk(size, -1, sorted=True)
        for start, end in pairwise(cuts)
    ]
    attention, keys = (torch.cat(each, 1) for each in zip(*parts, strict=True))
    there = attention >= LEAST
    steps = (attention * WHOLE).round() * there
    return (
        (keys * there).cpu().numpy().astype(np.uint16),
        steps.cpu().numpy().astype(np.uint16),
    )


def tensor_of(array: np.ndarray) -> Tensor:
    """What came from a run, here or elsewhere, as a tensor."""
    # One that came from elsewhere is read-only, and nothing here writes to it.
    return torch.from_numpy(array if array.flags.writeable else array.copy())
