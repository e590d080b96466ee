"""Which windows of a text are kept for each head: the best, and a fair sample of the rest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt16

from analysis.heads.corpus.results import BEST, INTERVALS, SAMPLE, SLOTS

# Windows whose maxima say where the intervals lie; all of them are held until then.
WARM_UP = 32
_TOP = INTERVALS - 1


@dataclass(eq=False)
class Record:
    """What is kept of one window for one head; see `KeptWindow`.

    `turn` is when the window was read. What follows it is filled in once the run is over.
    """

    turn: int
    number: int
    maximum: float
    keys: UInt16[np.ndarray, "pos key"]
    attention: UInt16[np.ndarray, "pos key"]
    largest_value: float = float("nan")
    norms: Float[np.ndarray, " pos"] | float = float("nan")
    effects: Float[np.ndarray, " pos"] | float = float("nan")


class Shelf:
    """The records of one head by interval.

    Windows come in random order, so the first of an interval are a fair sample of it, whoever
    reads them and in whatever pieces.
    """

    def __init__(self, edges: Float[np.ndarray, " edge"]):
        self.edges = edges
        self._by_interval: list[list[Record]] = [[] for _ in range(INTERVALS)]

    def put(self, record: Record) -> tuple[int, float]:
        """Keep a record, if it is among the best or the first of its interval.

        Returns the interval, and the maximum above which one that is read later is kept there.
        """
        # A head whose maxima are all the same has them all in the highest.
        interval = int((record.maximum >= self.edges).sum())
        there = self._by_interval[interval]
        there.append(record)
        if interval == _TOP:
            there.sort(key=lambda each: (-each.maximum, each.turn))
            del there[BEST:]
            return interval, there[-1].maximum if len(there) == BEST else -np.inf
        there.sort(key=lambda each: each.turn)
        del there[SAMPLE:]
        return interval, np.inf if len(there) == SAMPLE else -np.inf

    def slots(self) -> list[Record | None]:
        """The records in the order of a result's slots."""
        found: list[Record | None] = []
        for interval, records in enumerate(self._by_interval):
            size = BEST if interval == _TOP else SAMPLE
            found += [*records, *[None] * (size - len(records))]
        return found


def shelf_of(warm_up: list[Record]) -> Shelf:
    """A shelf with equal-frequency intervals of some records, and these sorted into it."""
    maxima = [record.maximum for record in warm_up]
    shelf = Shelf(np.quantile(maxima, np.arange(1, INTERVALS) / INTERVALS))
    for record in warm_up:
        shelf.put(record)
    return shelf


class Keeper:
    """The kept windows of all heads; `edges` are those of intervals where they are known."""

    def __init__(self, n_heads: int, edges: Float[np.ndarray, "head edge"] | None = None):
        self._warm_up: list[list[Record]] = [[] for _ in range(n_heads)]
        self._read = 0
        self._shelves: list[Shelf] | None = None
        if edges is not None:
            self._settle([Shelf(each) for each in edges])

    @property
    def room(self) -> int | None:
        """Windows until the edges are known; None once they are."""
        return None if self._shelves is not None else WARM_UP - self._read

    def wanted(self, first: int, maxima: Float[np.ndarray, " head"]) -> list[int]:
        """Which heads, of those from `first` on, keep a window of these maxima."""
        heads = np.arange(len(maxima))
        if self._shelves is None:
            return heads.tolist()
        at = first + heads
        interval = (maxima[:, None] >= self._edges[at]).sum(1)
        return np.flatnonzero(maxima > self._least[at, interval]).tolist()

    def put(self, head: int, record: Record) -> None:
        """Keep one head's record."""
        if self._shelves is None:
            self._warm_up[head].append(record)
        else:
            interval, least = self._shelves[head].put(record)
            self._least[head, interval] = least

    def read(self, windows: int) -> None:
        """So many windows have been read; once that are enough the intervals are settled."""
        self._read += windows
        if self._shelves is None and self._read >= WARM_UP:
            self._settle([Shelf(shelf.edges) for shelf in self.shelves()])
            for head, records in enumerate(self._warm_up):
                for record in records:
                    self.put(head, record)
            self._warm_up = []

    def shelves(self) -> list[Shelf]:
        """One for each head; until the edges are known, by those of what has been read."""
        return self._shelves or [shelf_of(records) for records in self._warm_up]

    def merge(self, other: "Keeper") -> None:
        """Take in what was kept of other windows under the same edges.

        Raises:
            ValueError: Other edges, or none yet.
        """
        if self._shelves is None or other._shelves is None:
            raise ValueError("the intervals of windows that were read apart are not known yet")
        if not np.array_equal(self._edges, other._edges):
            raise ValueError("windows were sorted into other intervals")
        self._read += other._read
        for head, shelf in enumerate(other._shelves):
            for record in filter(None, shelf.slots()):
                self.put(head, record)

    def _settle(self, shelves: list[Shelf]) -> None:
        self._shelves = shelves
        self._edges = np.array([shelf.edges for shelf in shelves])
        # By head and interval, the maximum above which a window is kept.
        self._least = np.full((len(shelves), INTERVALS), -np.inf)


def packed(shelves: list[Shelf], n_layers: int, window: int) -> dict[str, Any]:
    """The fields of a result that begin with `kept`, and `edges`."""
    shape = (len(shelves), SLOTS)
    places = [
        ((head, slot), record)
        for head, shelf in enumerate(shelves)
        for slot, record in enumerate(shelf.slots())
        if record is not None
    ]
    rows = places[0][1].keys.shape
    fields: dict[str, np.ndarray] = {
        "kept": np.zeros(shape, bool),
        "kept_numbers": np.zeros(shape, np.int32),
        "kept_maxima": np.full(shape, np.nan, np.float32),
        "kept_values": np.full(shape, np.nan, np.float32),
        "kept_keys": np.zeros((*shape, *rows), np.uint16),
        "kept_attention": np.zeros((*shape, *rows), np.uint16),
        "kept_norms": np.full((*shape, window), np.nan, np.float16),
        "kept_effects": np.full((*shape, window), np.nan, np.float16),
    }
    for at, record in places:
        fields["kept"][at] = True
        fields["kept_numbers"][at] = record.number
        fields["kept_maxima"][at] = record.maximum
        fields["kept_values"][at] = record.largest_value
        fields["kept_keys"][at] = record.keys
        fields["kept_attention"][at] = record.attention
        fields["kept_norms"][at] = record.norms
        fields["kept_effects"][at] = record.effects
    fields["edges"] = np.array([shelf.edges for shelf in shelves], np.float32)
    return {name: value.reshape(n_layers, -1, *value.shape[1:]) for name, value in fields.items()}


def numbers_kept(kept: dict[str, Any]) -> Int[np.ndarray, " kept"]:
    """The windows that some head keeps, in the order of the text."""
    numbers: np.ndarray = np.unique(kept["kept_numbers"][kept["kept"]])
    return numbers
