"""All heads of a model over a text: one run of each window, of which next to nothing is kept."""

from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from analysis.errors import AnalysisError
from analysis.heads.corpus.kept import Keeper, Record, numbers_kept
from analysis.heads.corpus.results import KEYS, LEAST, WHOLE, CorpusScan
from analysis.heads.corpus.tally import Sums, Tally
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
    gram = [output_gram(model, layer) for layer in range(model.n_layers)]
    scan: CorpusScan | None = None
    while not reader.finished:
        reader.read_some(model, gram)
        if scan is None or reader.finished or reader.done >= _SHARPER * scan.n_windows:
            scan = reader.result(model.tokenizer)
        yield ScanStep(reader.done, reader.total, scan)


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
        n_windows, self._window = windows.ids.shape
        self._order = np.random.default_rng(seed).permutation(n_windows)
        self._turns = range(n_windows) if turns is None else turns
        n_heads = info.n_layers * info.n_heads
        self.tally = Tally(n_heads, info.d_vocab, self._window)
        self.keeper = Keeper(n_heads, self._window, edges)
        logits = 4 * self._window * info.d_vocab
        # Windows of one run.
        self.at_once = max(1, min(TOKENS_AT_ONCE // self._window, MAX_LOGIT_BYTES // logits))

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

    def read_some(self, model: HeadModel, gram: Sequence[Tensor]) -> None:
        """Run the next few windows."""
        # Not beyond the warm-up: what comes after it is sorted by its edges.
        size = min(self.at_once, self.keeper.room or self.at_once)
        turns = self._turns[self.done : self.done + size]
        numbers = self._order[list(turns)]
        ids = self._windows.ids[numbers]
        marks = self.tally.marks.scores(ids)
        batch = _Batch(model, ids, turns, numbers, self.keeper)
        sums = batch.read(self.tally.marks.distances, marks.cells, gram)
        self.tally.add(sums, marks)
        for _, head, record in batch.records:
            self.keeper.put(head, record)
        self.keeper.read(len(turns))

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
            window=self._window,
            n_windows=self.done,
            n_total=self.total,
            window_numbers=numbers,
            window_ids=ids,
            token_ids=known.astype(np.int32),
            token_texts=token_texts(tokenizer, known.tolist()),
            **kept,
            **sums,
        )


def _top_ids(sums: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return sums["key_ids"], sums["query_ids"]


class _Batch:
    """One run of some windows: `turns` are their places in the order, `numbers` in the text."""

    def __init__(
        self,
        model: HeadModel,
        ids: Int[np.ndarray, "window pos"],
        turns: range,
        numbers: Int[np.ndarray, " window"],
        keeper: Keeper,
    ) -> None:
        self._model, self._keeper = model, keeper
        self._turns, self._numbers = turns, numbers
        self._ids = torch.from_numpy(ids.astype(np.int64))
        names = ("distances", "scores", "columns", "off_first", "first", "largest")
        self._parts: dict[str, list[Tensor]] = {name: [] for name in names}
        # Of what is kept: row of the batch, head, and what is known of it.
        self.records: list[tuple[int, int, Record]] = []

    def read(
        self,
        distances: Float[Tensor, "cell bin"],
        scores: Float[Tensor, "window score cell"],
        gram: Sequence[Float[Tensor, "n_heads d_head d_head"]],
    ) -> Sums:
        """Run them. Patterns are summed up where they arise, and none is kept."""
        model = self._model
        layers = range(model.n_layers)
        value, effect = has_source_writes(model.info), has_source_effects(model.info)
        capture = [f"blocks.{layer}.attn.hook_v" for layer in layers] if value else []
        if effect:
            capture += [f"blocks.{layer}.attn.hook_z" for layer in layers]
            capture += ["ln_final.hook_scale"] if model.info.normalization else []
        hooks = [
            (f"blocks.{layer}.attn.hook_pattern", self._reduce(layer, distances, scores))
            for layer in layers
        ]
        kept = run_without_logits(model, self._ids, capture, hooks)
        parts = {name: torch.cat(each, 1).cpu() for name, each in self._parts.items()}
        largest = parts.pop("largest")  # over queries, at each source
        norms = self._norms(kept, gram) if value else None
        effects = self._effects(kept) if effect else None
        for row, head, record in self.records:
            if norms is not None:
                record.norms = norms[row, head].numpy()
                record.largest_value = float((largest[row, head] * norms[row, head])[1:].max())
            if effects is not None:
                record.effects = np.append(effects[row, head].numpy(), np.nan)
        return Sums(self._ids, maxima=largest[..., 1:].amax(-1), norms=norms, **parts)

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
        for row, turn in enumerate(self._turns):
            heads = self._keeper.wanted(first_head, maxima[row])
            if not heads:
                continue
            keys, attention = _sparse(pattern[row, heads])
            number = int(self._numbers[row])
            for i, head in enumerate(heads):
                record = Record(turn, number, float(maxima[row, head]), keys[i], attention[i])
                self.records.append((row, first_head + head, record))

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
