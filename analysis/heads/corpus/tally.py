"""Sums of attention over windows, in whole numbers: in whatever pieces, they come out the same."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analysis.definitions import ON_TEXT
from analysis.heads.corpus.results import SHARES, TOP_TOKENS, distance_bins
from analysis.heads.scores import targets
from analysis.tokens import Tokens

# What attention 1 is counted as: sums of fractions in floating point depend on their order.
_UNIT = 2**32
# The same of attention times the length of what is written, which may be thousands.
_LONG_UNIT = 2**20
_Whole = Int[Tensor, "..."]


@dataclass(frozen=True, eq=False)
class Sums:
    """What a batch of windows adds, heads of all layers one after another.

    `distances` and `scores` are attention on the cells of `Marks`, summed over the queries of a
    window; `columns` that which each source gets, `first` what each query gives the first token,
    `off_first` what it gives others, `maxima` the largest of a window; `norms` is |x W_V W_O| at
    each source.
    """

    ids: Int[Tensor, "window pos"]
    distances: Float[Tensor, "window head bin"]
    scores: Float[Tensor, "window head score"]
    columns: Float[Tensor, "window head pos"]
    off_first: Float[Tensor, "window head dest"]
    first: Float[Tensor, "window head dest"]
    maxima: Float[Tensor, "window head"]
    norms: Float[Tensor, "window head pos"] | None


class Marks:
    """Which cells of a window's pattern are counted together: distances, and targets of scores.

    The first query has no choice, so its row is never marked. Cells are flat, row after row.
    """

    def __init__(self, window: int):
        self.bins = distance_bins(window)
        place = np.arange(window)
        distance = place[:, None] - place
        self.bin_of = np.searchsorted([high for _, high in self.bins], place)
        own = np.stack([(distance >= low) & (distance <= high) for low, high in self.bins])
        own[:, 0] = False
        self.distances: Float[Tensor, "cell bin"] = _flat(own).T.contiguous()
        uniform = np.tri(window) / np.arange(1, window + 1)[:, None]
        self._uniform = torch.from_numpy(uniform.astype(np.float32)).flatten()

    def scores(self, ids: Int[np.ndarray, "window pos"]) -> "ScoreMarks":
        """The cells of each window that each score counts."""
        labels = tuple(("",) * ids.shape[1] for _ in ids)
        tokens = Tokens(ids.astype(np.int64), labels, half_length=None, has_bos=False)
        masks = np.stack([targets(name, tokens) for name in ON_TEXT], 1)
        masks[:, :, 0] = False
        cells = _flat(masks)
        counted = masks.any(3).sum((0, 2))
        return ScoreMarks(cells, torch.from_numpy(counted), cells @ self._uniform)


@dataclass(frozen=True, eq=False)
class ScoreMarks:
    """Where attention counts for each score of `ON_TEXT`, in some windows.

    `counted` is of how many destinations, `uniform` what a head of uniform attention gives there.
    """

    cells: Float[Tensor, "window score cell"]
    counted: Int[Tensor, " score"]
    uniform: Float[Tensor, "window score"]


class Tally:
    """Sums over all windows so far. Its size depends on the model and not on the text."""

    def __init__(self, n_heads: int, d_vocab: int, window: int):
        self.marks = Marks(window)
        self.n_windows = 0
        n_bins, n_scores = len(self.marks.bins), len(ON_TEXT)
        self._sums = {
            "distances": _zeros(n_heads, n_bins),
            "scores": _zeros(n_heads, n_scores),
            "first_by_distance": _zeros(n_heads, n_bins),
            "first_histogram": _zeros(n_heads, SHARES),
            "max_histogram": _zeros(n_heads, SHARES),
            "written": _zeros(n_heads),
            "written_first": _zeros(n_heads),
            "counted": _zeros(n_scores),
            "uniform": _zeros(n_scores),
            # By token: pages of it that no token touches take no memory.
            "counts": _zeros(d_vocab),
            "key_chance": _zeros(d_vocab),
            "query_chance": _zeros(d_vocab),
            "key": _zeros(d_vocab, n_heads),
            "query": _zeros(d_vocab, n_heads),
        }
        uniform = 1 / torch.arange(2, window + 1, dtype=torch.float64)
        # Position 1.. as a source, from itself on, and as a destination, to all but the first.
        self._key_uniform = _fixed(uniform.flip(0).cumsum(0).flip(0))
        self._query_uniform = _fixed(1 - uniform)
        self.writes = True

    def add(
        self, sums: Sums, counted: Int[Tensor, " score"], uniform: Float[Tensor, "window score"]
    ) -> None:
        """Count some windows; `counted` and `uniform` as in `ScoreMarks`."""
        own, n = self._sums, len(sums.ids)
        self.n_windows += n
        own["distances"] += _fixed(sums.distances).sum(0)
        own["scores"] += _fixed(sums.scores).sum(0)
        own["counted"] += counted
        own["uniform"] += _fixed(uniform).sum(0)
        first = _fixed(sums.first).sum(0)
        bins = torch.from_numpy(self.marks.bin_of[1:])
        own["first_by_distance"].index_add_(1, bins, first)
        own["first_histogram"] += _histogram(sums.first)
        own["max_histogram"] += _histogram(sums.maxima[..., None])
        self.writes = self.writes and sums.norms is not None
        if sums.norms is not None:
            written = sums.columns * sums.norms
            own["written"] += _fixed(written.sum(-1), _LONG_UNIT).sum(0)
            own["written_first"] += _fixed(written[..., 0], _LONG_UNIT).sum(0)
        ids = sums.ids[:, 1:].flatten()
        own["counts"].index_add_(0, ids, torch.ones_like(ids))
        own["key_chance"].index_add_(0, ids, self._key_uniform.repeat(n))
        own["query_chance"].index_add_(0, ids, self._query_uniform.repeat(n))
        for side, values in (("key", sums.columns[..., 1:]), ("query", sums.off_first)):
            own[side].index_add_(0, ids, _fixed(values).transpose(1, 2).flatten(0, 1))

    def merge(self, other: "Tally") -> None:
        """Take in the sums of other windows: exactly those of reading both."""
        self.n_windows += other.n_windows
        self.writes = self.writes and other.writes
        for name, values in other._sums.items():
            self._sums[name] += values

    def fields(self, n_layers: int) -> dict[str, Any]:
        """The fields of a result that are sums."""

        def by_layer(values: Tensor) -> np.ndarray:
            array: np.ndarray = values.numpy()
            return array.reshape(n_layers, -1, *array.shape[1:])

        own = self._sums
        found: dict[str, Any] = {
            "by_distance": by_layer(_share(own["distances"])),
            "first_by_distance": by_layer(_share(own["first_by_distance"])),
            "first_histogram": by_layer(own["first_histogram"].int()),
            "max_histogram": by_layer(own["max_histogram"].int()),
        }
        # 0 / 0 is NaN: nothing is written, or nothing can be said of it.
        written = own["written"].double() if self.writes else torch.zeros(1)
        found["written_at_first"] = by_layer(own["written_first"] / written)
        counted = own["counted"].double()
        scores = _share(own["scores"]) / counted
        chance = _share(own["uniform"]) / counted
        found["scores"] = {name: by_layer(scores[:, i].clone()) for i, name in enumerate(ON_TEXT)}
        found["chance"] = {name: float(chance[i]) for i, name in enumerate(ON_TEXT)}
        for side in ("key", "query"):
            found |= self._top_tokens(side, n_layers)
        return found

    def _top_tokens(self, side: str, n_layers: int) -> dict[str, np.ndarray]:
        own = self._sums
        seen = own["counts"].nonzero()[:, 0]
        values, rows = own[side][seen].topk(min(TOP_TOKENS, len(seen)), 0)
        ids = seen[rows]
        columns = {
            "ids": ids.int(),
            "attention": _share(values).float(),
            "chance": _share(own[f"{side}_chance"][ids]).float(),
            "counts": own["counts"][ids].int(),
        }
        found = {}
        for what, column in columns.items():
            array = column.T.numpy()
            whole = np.zeros((len(array), TOP_TOKENS), array.dtype)
            whole[:, : array.shape[1]] = array
            found[f"{side}_{what}"] = whole.reshape(n_layers, -1, TOP_TOKENS)
        return found


def _flat(masks: Bool[np.ndarray, "*rest dest src"]) -> Float[Tensor, "*rest cell"]:
    return torch.from_numpy(masks.astype(np.float32)).flatten(-2)


def _zeros(*size: int) -> _Whole:
    return torch.zeros(size, dtype=torch.int64)


def _fixed(values: Tensor, unit: int = _UNIT) -> _Whole:
    return (values.double() * unit).round().long()


def _share(values: _Whole) -> Float[Tensor, "..."]:
    return values.double() / _UNIT


def _histogram(shares: Float[Tensor, "window head n"]) -> Int[Tensor, "head share"]:
    """How many of each head's shares fall into each of `SHARES` bins; 1 into the last."""
    n_heads = shares.shape[1]
    bins = (shares * SHARES).long().clamp(0, SHARES - 1)
    places = bins + SHARES * torch.arange(n_heads)[:, None]
    return places.flatten().bincount(minlength=n_heads * SHARES).view(n_heads, SHARES)
