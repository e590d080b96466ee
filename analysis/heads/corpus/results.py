"""What is known of all heads after a text, free of torch: pages show it before that is imported."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int, UInt16

from analysis.arrays import freeze
from analysis.head import Head
from analysis.kept import kept_property

# Windows are sorted by their maximum into so many intervals; of the highest the best are kept, of
# each other one a sample.
INTERVALS = 5
BEST = 10
SAMPLE = 3
SLOTS = BEST + (INTERVALS - 1) * SAMPLE
# Of each row of a kept window: how many keys, and from which attention on.
KEYS = 8
LEAST = 0.005
# Attention 1 in a kept window.
WHOLE = 65535
TOP_TOKENS = 50
# Bins of a share, 0..1.
SHARES = 20

Order = Literal["attention", "value", "effect", "loss"]
ORDERS: tuple[Order, ...] = get_args(Order)


def distance_bins(window: int) -> tuple[tuple[int, int], ...]:
    """Least and largest distance of each bin: 0, 1, 2, 3-4, 5-8, 9-16, ... up to the window's."""
    bins = [(0, 0), (1, 1)]
    while bins[-1][1] < window - 1:
        last = bins[-1][1]
        bins.append((last + 1, min(2 * last, window - 1)))
    return tuple(bins)


@dataclass(frozen=True, slots=True)
class TokenAttention:
    """One token of the vocabulary in a text, for one head.

    `attention` is in queries: 12.5 means as much as twelve and a half queries that attend to
    nothing else. `chance` is what a head of uniform attention gives on the same text.
    """

    id: int
    attention: float
    chance: float
    count: int


@dataclass(frozen=True, eq=False)
class KeptWindow:
    """One window of the text for one head: `number` counts from 0 in the text.

    `attention[q, i]` is that of position q to position `keys[q, i]`, largest first; 0 where fewer
    keys reach `LEAST`. `interval` is 0 for windows of the lowest maxima and `INTERVALS - 1` for
    the highest.
    """

    number: int
    interval: int
    ids: Int[np.ndarray, " pos"]
    keys: Int[np.ndarray, "pos key"]
    attention: Float[np.ndarray, "pos key"]
    # |x_k W_V W_O| of every source.
    norms: Float[np.ndarray, " pos"]
    # On the logit of the token that comes next, at every position; the last has none: NaN.
    effects: Float[np.ndarray, " pos"]
    maximum: float  # of A[q, k] over q > 0, k > 0
    largest_value: float  # of A[q, k] |x_k W_V W_O| over the same
    # Rise of the loss on the token that comes next without the head, in nats; NaN: not measured.
    losses: Float[np.ndarray, " pos"]

    def __post_init__(self) -> None:
        freeze(self, "ids", "keys", "attention", "norms", "effects", "losses")

    @property
    def strongest(self) -> tuple[int, int]:
        """Query and key of the largest attention with q > 0 and k > 0; (0, 0) where none is."""
        inner = np.where(self.keys > 0, self.attention, 0)
        inner[0] = 0
        query, place = np.unravel_index(int(inner.argmax()), inner.shape)
        return (int(query), int(self.keys[query, place])) if inner[query, place] > 0 else (0, 0)

    def rank(self, order: Order) -> float:
        """What windows are ordered by, largest first."""
        match order:
            case "attention":
                return self.maximum
            case "value":
                return self.largest_value
            case "effect":
                return _largest(self.effects)
            case "loss":
                return _largest(self.losses)

    @property
    def dense(self) -> Float[np.ndarray, "dest src"]:
        """The kept attention as a pattern; what was not kept is 0."""
        pattern = np.zeros((len(self.ids), len(self.ids)), np.float32)
        np.put_along_axis(pattern, self.keys.astype(np.int64), self.attention, axis=1)
        return pattern


@dataclass(frozen=True, eq=False)
class CorpusScan:
    """Attention of every head over windows of a text, as far as it has been read.

    Of each window every query but the first counts, which can attend to nothing else:
    `queries` of them in all. Attention is in queries, so that for each head `by_distance` sums to
    `queries`. Windows are read in a seeded random order: what is known so far is a fair sample.
    """

    window: int  # positions of a window, with BOS where the model has one
    n_windows: int  # read so far
    n_total: int
    # Attention by the distance between query and key; bins as in `distance_bins`.
    by_distance: Float[np.ndarray, "layer head bin"]
    # The part of it that rests on the first token of the window.
    first_by_distance: Float[np.ndarray, "layer head bin"]
    # Queries by how much of their attention is on the first token; windows by their maximum.
    first_histogram: Int[np.ndarray, "layer head share"]
    max_histogram: Int[np.ndarray, "layer head share"]
    # Share of the first token in A[q, k] |x_k W_V W_O|; NaN where the model does not allow it.
    written_at_first: Float[np.ndarray, "layer head"]
    # Scores that are a share of attention, over all destinations that have such a source.
    scores: Mapping[str, Float[np.ndarray, "layer head"]]
    chance: Mapping[str, float]
    # The tokens that get most attention (not as the first of a window), and those that give most
    # of it to others than the first; unused places have count 0.
    key_ids: Int[np.ndarray, "layer head top"]
    key_attention: Float[np.ndarray, "layer head top"]
    key_chance: Float[np.ndarray, "layer head top"]
    key_counts: Int[np.ndarray, "layer head top"]
    query_ids: Int[np.ndarray, "layer head top"]
    query_attention: Float[np.ndarray, "layer head top"]
    query_chance: Float[np.ndarray, "layer head top"]
    query_counts: Int[np.ndarray, "layer head top"]
    # Least maximum of intervals 1..; for as long as they are provisional they move.
    edges: Float[np.ndarray, "layer head edge"]
    kept: Bool[np.ndarray, "layer head slot"]
    kept_numbers: Int[np.ndarray, "layer head slot"]
    kept_maxima: Float[np.ndarray, "layer head slot"]
    kept_values: Float[np.ndarray, "layer head slot"]
    kept_keys: UInt16[np.ndarray, "layer head slot pos key"]
    kept_attention: UInt16[np.ndarray, "layer head slot pos key"]  # in steps of 1 / WHOLE
    kept_norms: Float[np.ndarray, "layer head slot pos"]
    kept_effects: Float[np.ndarray, "layer head slot pos"]
    # The tokens of all windows that some head keeps, by their numbers in rising order.
    window_numbers: Int[np.ndarray, " kept"]
    window_ids: Int[np.ndarray, "kept pos"]
    # Every id that occurs above, in rising order, and what it stands for.
    token_ids: Int[np.ndarray, " token"]
    token_texts: tuple[str, ...]

    def __post_init__(self) -> None:
        # To less in a model with a sink outside the text.
        beyond = (self.by_distance.sum(-1) - self.queries).max(initial=0)
        if not beyond <= 1e-4 * max(self.queries, 1):
            raise ValueError(f"attention sums to {beyond:.2g} more than {self.queries} queries")
        if len(self.token_ids) != len(self.token_texts):
            raise ValueError(f"{len(self.token_texts)} texts for {len(self.token_ids)} ids")
        freeze(self, *(name for name, value in vars(self).items() if _is_array(value)))
        for field in ("scores", "chance"):
            object.__setattr__(self, field, MappingProxyType(dict(getattr(self, field))))

    @property
    def queries(self) -> int:
        """Queries that were counted for each head."""
        return self.n_windows * (self.window - 1)

    @property
    def at_first(self) -> Float[np.ndarray, "layer head"]:
        """Share of attention that rests on the first token of a window, 0..1."""
        with np.errstate(invalid="ignore"):
            share: np.ndarray = self.first_by_distance.sum(-1) / np.float64(self.queries)
        return share

    @kept_property
    def chance_by_distance(self) -> tuple[Float[np.ndarray, " bin"], Float[np.ndarray, " bin"]]:
        """`by_distance` and `first_by_distance` of a head whose attention is uniform."""
        uniform = 1 / np.arange(2, self.window + 1)
        bins = distance_bins(self.window)
        first = [uniform[max(low, 1) - 1 : high].sum() if high else 0.0 for low, high in bins]
        # Queries low.. reach a distance; each gives it its uniform share.
        whole = [
            sum(uniform[max(distance, 1) - 1 :].sum() for distance in range(low, high + 1))
            for low, high in bins
        ]
        return self.n_windows * np.array(whole), self.n_windows * np.array(first)

    def labels(self, ids: Iterable[int]) -> tuple[str, ...]:
        """What ids of this result stand for."""
        return tuple(self.token_texts[int(i)] for i in np.searchsorted(self.token_ids, [*ids]))

    def top_keys(self, head: Head) -> tuple[TokenAttention, ...]:
        """The tokens that get most of the head's attention, most first."""
        return self._tokens("key", head)

    def top_queries(self, head: Head) -> tuple[TokenAttention, ...]:
        """The tokens that attend most to others than the first token, most first."""
        return self._tokens("query", head)

    def _tokens(self, side: str, head: Head) -> tuple[TokenAttention, ...]:
        at = (head.layer, head.head)
        columns = [getattr(self, f"{side}_{what}")[at] for what in ("ids", "attention", "chance")]
        counts = getattr(self, f"{side}_counts")[at]
        return tuple(
            TokenAttention(int(id), float(attention), float(chance), int(count))
            for id, attention, chance, count in zip(*columns, counts, strict=True)
            if count
        )

    def windows(
        self,
        head: Head,
        order: Order = "attention",
        losses: Mapping[int, Float[np.ndarray, " pos"]] | None = None,
    ) -> tuple[KeptWindow, ...]:
        """The head's kept windows, first those in which it does most; unknown ones come last.

        Args:
            head: The head.
            order: By the largest attention, the largest value-weighted attention, the largest
                direct effect on the token that comes next, or the largest rise of its loss.
            losses: That rise by window, from `window_losses`; else it is NaN.
        """
        at = (head.layer, head.head)
        found = [
            self._window(head, int(slot), losses or {}) for slot in np.flatnonzero(self.kept[at])
        ]
        return tuple(
            sorted(
                found,
                key=lambda each: (-np.nan_to_num(each.rank(order), nan=-np.inf), each.number),
            )
        )

    def _window(
        self, head: Head, slot: int, losses: Mapping[int, Float[np.ndarray, " pos"]]
    ) -> KeptWindow:
        at = (head.layer, head.head, slot)
        number = int(self.kept_numbers[at])
        row = int(np.searchsorted(self.window_numbers, number))
        return KeptWindow(
            number=number,
            interval=min(slot // SAMPLE, INTERVALS - 1),
            ids=self.window_ids[row].astype(np.int64),
            keys=self.kept_keys[at].astype(np.int64),
            attention=self.kept_attention[at] / np.float32(WHOLE),
            norms=self.kept_norms[at].astype(np.float32),
            effects=self.kept_effects[at].astype(np.float32),
            maximum=float(self.kept_maxima[at]),
            largest_value=float(self.kept_values[at]),
            losses=losses.get(number, np.full(self.window, np.nan, np.float32)),
        )


def _largest(values: Float[np.ndarray, " pos"]) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else float("nan")


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray)
