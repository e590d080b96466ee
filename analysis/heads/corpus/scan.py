"""All heads of a model over a text: one run of each window, of which next to nothing is kept."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt16
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from analysis.errors import AnalysisError
from analysis.heads.corpus.kept import Keeper, Record, Wanted, numbers_kept
from analysis.heads.corpus.results import KEYS, LEAST, WHOLE, CorpusScan
from analysis.heads.corpus.tally import Marks, ScoreMarks, Sums, Tally
from analysis.heads.corpus.windows import Windows, text_windows
from analysis.limits import MAX_LOGIT_BYTES, MAX_SEED
from analysis.models.capabilities import has_source_effects, has_source_writes
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, run_without_logits
from analysis.runs.inputs import token_texts
from analysis.runs.pieces import TOKENS_AT_ONCE
from analysis.runs.reads import read_direction
from analysis.runs.writes import output_gram, output_weights, source_lengths

# Partial results come after so many times as many windows as the one before: each looks a little
# sharper, and the last ones are far apart.
_SHARPER = 1.6


@dataclass(frozen=True, eq=False)
class ScanStep:
    """How far a scan is, in windows, and the newest result; that is of fewer windows, or of all."""

    done: int
    total: int
    scan: CorpusScan


def corpus_scan(
    model: HeadModel, texts: str | Iterable[str], window: int = 256, seed: int = 0
) -> CorpusScan:
    """What every head attends to over whole texts, and the windows in which it does most.

    Each window is run by itself. For every head: attention by distance, by the token that gets it
    and the token that gives it, on the first token; scores on text; and windows by the maximum of
    A[q, k] over q > 0, k > 0: the 10 with the largest, and 3 of each of the 4 intervals below,
    drawn at random. The intervals' edges are quantiles of the first windows read. Source: of the
    windows and intervals HeadVis (2025), as in sparse-feature dashboards.

    Args:
        model: The model.
        texts: One text or several, as for `text_windows`.
        window: Tokens of a window.
        seed: Of the order in which windows are read.

    Raises:
        AnalysisError: As `text_windows`, or a seed out of range.
    """
    # Each step holds a result, of which only the last is wanted.
    (last,) = deque(corpus_steps(model, text_windows(model, texts, window), seed), maxlen=1)
    return last.scan


def corpus_steps(
    model: HeadModel, windows: Windows, seed: int = 0
) -> Generator[ScanStep, None, None]:
    """The same as it goes on: after every few windows, with a result that sharpens.

    The lock of the model is taken for one batch of windows at a time.
    """
    yield from read_on(model, CorpusReader(model.info, windows, seed))


def read_on(model: HeadModel, reader: "CorpusReader") -> Generator[ScanStep, None, None]:
    """What a reader has still to read of its windows, by the model that it was made for."""
    read = WindowReader(model, reader.window)
    yield from steps_of(model.tokenizer, reader, lambda batches: map(read, batches))


def steps_of(
    tokenizer: PreTrainedTokenizerBase,
    reader: "CorpusReader",
    run: Callable[[Iterator["WindowBatch"]], Iterator["WindowsRead"]],
) -> Generator[ScanStep, None, None]:
    """What a reader has still to read, by whatever runs its batches and keeps their order."""
    scan: CorpusScan | None = None
    while not reader.finished:
        # What is given out ahead of what is back: no batch before the intervals are known.
        batches: deque[WindowBatch] = deque()
        for read in run(_given_out(reader, batches)):
            reader.take(batches.popleft(), read)
            if scan is None or reader.finished or reader.done >= _SHARPER * scan.n_windows:
                scan = reader.result(tokenizer)
            yield ScanStep(reader.done, reader.total, scan)


def _given_out(
    reader: "CorpusReader", batches: "deque[WindowBatch]"
) -> Generator["WindowBatch", None, None]:
    """The next batches of a reader, up to the first that depends on those before it."""
    known = not reader.until_known
    while True:
        ahead = sum(len(batch.ids) for batch in batches)
        left = reader.left if known else min(reader.left, reader.until_known)
        if ahead >= left or (known is False and not reader.until_known):
            return
        batch = reader.next_batch(ahead)
        batches.append(batch)
        yield batch


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
        norms = None if self.norms is None else _tensor(self.norms)
        return Sums(norms=norms, **{name: _tensor(getattr(self, name)) for name in names})

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


class CorpusReader:
    """Reads windows batch by batch, in a seeded random order.

    Args:
        info: The model that will read.
        windows: The windows.
        seed: Of their order.
        turns: Which places of that order to read; all by default.
        edges: Of intervals, by head, where they are known.
    """

    def __init__(
        self,
        info: ModelInfo,
        windows: Windows,
        seed: int,
        turns: range | None = None,
        edges: Float[np.ndarray, "head edge"] | None = None,
    ):
        if not 0 <= seed <= MAX_SEED:
            raise AnalysisError(f"The seed must be a whole number from 0 to {MAX_SEED}.")
        self._windows, self._n_layers = windows, info.n_layers
        n_windows, self.window = windows.ids.shape
        self._order = np.random.default_rng(seed).permutation(n_windows)
        self._turns = range(n_windows) if turns is None else turns
        n_heads = info.n_layers * info.n_heads
        self.tally = Tally(n_heads, info.d_vocab, self.window)
        self.keeper = Keeper(n_heads, self.window, edges)
        logits = 4 * self.window * info.d_vocab
        # Windows of one run.
        self.at_once = max(1, min(TOKENS_AT_ONCE // self.window, MAX_LOGIT_BYTES // logits))

    @property
    def done(self) -> int:
        """Windows that have been read."""
        return self.tally.n_windows

    @property
    def total(self) -> int:
        """Windows of the text."""
        return len(self._order)

    @property
    def finished(self) -> bool:
        """Whether all that are to be read have been."""
        return self.done == len(self._turns)

    def next_batch(self, ahead: int = 0) -> WindowBatch:
        """The windows that are to be read next, behind so many that others are reading.

        There are none before the first are back that say where intervals lie (`until_known`).
        """
        # Not beyond the warm-up: what comes after it is sorted by its edges.
        room = self.until_known
        size = min(self.at_once, room - ahead) if room else self.at_once
        done = self.done + ahead
        turns = self._turns[done : done + size]
        numbers = self._order[list(turns)]
        wanted = self.keeper.wanted
        return WindowBatch(
            self._windows.ids[numbers], turns.start, numbers, wanted.edges, wanted.least
        )

    @property
    def until_known(self) -> int:
        """Windows until intervals are known; 0 once they are."""
        return self.keeper.room or 0

    @property
    def left(self) -> int:
        """Windows that are left to read."""
        return len(self._turns) - self.done

    def take(self, batch: WindowBatch, read: WindowsRead) -> None:
        """Count what was read in the windows that come next."""
        self.tally.add(read.sums, _tensor(read.counted), _tensor(read.uniform))
        for head, record in read.records(batch):
            self.keeper.put(head, record)
        self.keeper.read(len(batch.ids))

    def merge(self, other: "CorpusReader") -> None:
        """Take in what another has read of the same windows: exactly what one had found."""
        self.tally.merge(other.tally)
        self.keeper.merge(other.keeper)

    def result(self, tokenizer: PreTrainedTokenizerBase) -> CorpusScan:
        """What is known so far."""
        kept = self.keeper.fields(self._n_layers)
        sums = self.tally.fields(self._n_layers)
        numbers = numbers_kept(kept)
        ids = self._windows.ids[numbers]
        known = np.unique(np.concatenate([e.ravel() for e in (ids, *_top_ids(sums))]))
        return CorpusScan(
            window=self.window,
            n_windows=self.done,
            n_total=self.total,
            window_numbers=numbers,
            window_ids=ids,
            token_ids=known.astype(np.int32),
            token_texts=token_texts(tokenizer, known.tolist()),
            **kept,
            **sums,
        )


def _tensor(array: np.ndarray) -> Tensor:
    # One that came from elsewhere is read-only, and nothing here writes to it.
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _top_ids(sums: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return sums["key_ids"], sums["query_ids"]


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
