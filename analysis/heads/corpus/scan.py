"""All heads of a model over a text: one run of each window, of which next to nothing is kept."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from analysis.errors import AnalysisError
from analysis.heads.corpus.batches import WindowBatch, WindowReader, WindowsRead, tensor_of
from analysis.heads.corpus.kept import Keeper, numbers_kept
from analysis.heads.corpus.results import CorpusScan
from analysis.heads.corpus.tally import Tally
from analysis.heads.corpus.windows import Windows, text_windows
from analysis.limits import MAX_LOGIT_BYTES, MAX_SEED
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel
from analysis.runs.inputs import token_texts
from analysis.runs.pieces import TOKENS_AT_ONCE

# What the tokens of some ids stand for.
Texts = Callable[[Sequence[int]], tuple[str, ...]]
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
    texts = partial(token_texts, model.tokenizer)
    yield from steps_of(texts, reader, lambda batches: map(read, batches))


def steps_of(
    texts: Texts,
    reader: "CorpusReader",
    run: Callable[[Iterator[WindowBatch]], Iterator[WindowsRead]],
) -> Generator[ScanStep, None, None]:
    """What a reader has still to read, by whatever runs its batches and keeps their order."""
    scan: CorpusScan | None = None
    while not reader.finished:
        # What is given out ahead of what is back: no batch before the intervals are known.
        batches: deque[WindowBatch] = deque()
        for read in run(_given_out(reader, batches)):
            reader.take(batches.popleft(), read)
            if scan is None or reader.finished or reader.done >= _SHARPER * scan.n_windows:
                scan = reader.result(texts)
            yield ScanStep(reader.done, reader.total, scan)


def _given_out(
    reader: "CorpusReader", batches: deque[WindowBatch]
) -> Generator[WindowBatch, None, None]:
    """The next batches of a reader, up to the first that depends on those before it."""
    known = not reader.until_known
    while True:
        ahead = sum(len(batch.ids) for batch in batches)
        left = reader.left if known else min(reader.left, reader.until_known)
        if ahead >= left:  # nothing is left once those before it say where intervals lie
            return
        batch = reader.next_batch(ahead)
        batches.append(batch)
        yield batch


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
        self.tally.add(read.sums, tensor_of(read.counted), tensor_of(read.uniform))
        for head, record in read.records(batch):
            self.keeper.put(head, record)
        self.keeper.read(len(batch.ids))

    def merge(self, other: "CorpusReader") -> None:
        """Take in what another has read of the same windows: exactly what one had found."""
        self.tally.merge(other.tally)
        self.keeper.merge(other.keeper)

    def result(self, texts: Texts) -> CorpusScan:
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
            token_texts=texts(known.tolist()),
            **kept,
            **sums,
        )


def _top_ids(sums: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return sums["key_ids"], sums["query_ids"]
