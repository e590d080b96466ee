"""Which windows of a text are kept for each head: the best, and a fair sample of the rest."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt16

from analysis.heads.corpus.results import BEST, INTERVALS, KEYS, SAMPLE, SLOTS

# Windows whose maxima say where the intervals lie; all of them are held until then.
WARM_UP = 32
_TOP = INTERVALS - 1
_SIZES = [*[SAMPLE] * _TOP, BEST]


@dataclass(eq=False)
class Record:
    """What is kept of one window for one head; see `KeptWindow`.

    `turn` is when the window was read. `place` is where a `Keeper` has its numbers.
    """

    turn: int
    number: int
    maximum: float
    keys: UInt16[np.ndarray, "pos key"]
    attention: UInt16[np.ndarray, "pos key"]
    largest_value: float = float("nan")
    norms: Float[np.ndarray, " pos"] | float = float("nan")
    effects: Float[np.ndarray, " pos"] | float = float("nan")
    place: int = 0


class Shelf:
    """The records of one head by interval.

    Windows come in random order, so the first of an interval are a fair sample of it, whoever
    reads them and in whatever pieces.
    """

    def __init__(self, edges: Float[np.ndarray, " edge"]):
        self.edges = edges
        self._by_interval: list[list[Record]] = [[] for _ in range(INTERVALS)]

    def put(self, record: Record) -> Record | None:
        """Keep a record if it is among the best, or the first of its interval.

        Returns the one that is no longer, which may be itself.
        """
        # A head whose maxima are all the same has them all in the highest.
        interval = int((record.maximum >= self.edges).sum())
        there = self._by_interval[interval]
        there.append(record)
        if interval == _TOP:
            there.sort(key=lambda each: (-each.maximum, each.turn))
        else:
            there.sort(key=lambda each: each.turn)
        return there.pop() if len(there) > _SIZES[interval] else None

    @property
    def least(self) -> list[float]:
        """By interval, the maximum above which a window that is read later is kept."""
        full = [len(there) == size for there, size in zip(self._by_interval, _SIZES, strict=True)]
        least = [np.inf if each else -np.inf for each in full]
        if full[_TOP]:
            least[_TOP] = self._by_interval[_TOP][-1].maximum
        return least

    @property
    def slots(self) -> list[Record | None]:
        """The records in the order of a result's slots."""
        found: list[Record | None] = []
        for records, size in zip(self._by_interval, _SIZES, strict=True):
            found += [*records, *[None] * (size - len(records))]
        return found


def shelf_of(warm_up: list[Record]) -> Shelf:
    """A shelf with equal-frequency intervals of some records, and these sorted into it."""
    maxima = [record.maximum for record in warm_up]
    shelf = Shelf(np.quantile(maxima, np.arange(1, INTERVALS) / INTERVALS))
    for record in warm_up:
        shelf.put(record)
    return shelf


@dataclass(frozen=True, eq=False)
class Wanted:
    """Which windows heads keep: those of an interval with a maximum above `least`; None: all."""

    edges: Float[np.ndarray, "head edge"] | None = None
    least: Float[np.ndarray, "head interval"] | None = None

    def heads(self, first: int, maxima: Float[np.ndarray, " head"]) -> list[int]:
        """Which heads, of those from `first` on, keep a window of these maxima."""
        heads = np.arange(len(maxima))
        if self.edges is None or self.least is None:
            return heads.tolist()
        at = first + heads
        interval = (maxima[:, None] >= self.edges[at]).sum(1)
        return np.flatnonzero(maxima > self.least[at, interval]).tolist()


class Keeper:
    """The kept windows of all heads; `edges` are those of intervals where they are known.

    Its memory is set aside at once: small pieces among the large ones of a run would keep these
    from being used again.
    """

    def __init__(self, n_heads: int, window: int, edges: np.ndarray | None = None):
        self._warm_up: list[list[Record]] = [[] for _ in range(n_heads)]
        self._read = 0
        self._shelves: list[Shelf] | None = None
        # The warm-up takes all places; what is kept of it, and one more, fewer.
        places, keys = (n_heads, WARM_UP), min(KEYS, window)
        self._free = [list(range(WARM_UP)) for _ in range(n_heads)]
        self._numbers: dict[str, np.ndarray] = {
            "keys": np.zeros((*places, window, keys), np.uint16),
            "attention": np.zeros((*places, window, keys), np.uint16),
            "norms": np.zeros((*places, window), np.float16),
            "effects": np.zeros((*places, window), np.float16),
        }
        if edges is not None:
            self._settle([Shelf(each) for each in edges])

    @property
    def room(self) -> int | None:
        """Windows until the edges are known; None once they are."""
        return None if self._shelves is not None else WARM_UP - self._read

    @property
    def wanted(self) -> Wanted:
        """What is kept of windows that are read next."""
        return Wanted() if self._shelves is None else Wanted(self._edges, self._least.copy())

    def put(self, head: int, record: Record) -> None:
        """Keep one head's record."""
        mine = replace(record, place=self._free[head].pop())
        for name, values in self._numbers.items():
            values[head, mine.place] = getattr(record, name)
            setattr(mine, name, values[head, mine.place])
        if self._shelves is None:
            self._warm_up[head].append(mine)
            return
        if dropped := self._shelves[head].put(mine):
            self._free[head].append(dropped.place)
        self._least[head] = self._shelves[head].least

    def read(self, windows: int) -> None:
        """So many windows have been read; once that are enough the intervals are settled."""
        self._read += windows
        if self._shelves is not None or self._read < WARM_UP:
            return
        self._settle(self.shelves())
        for free, shelf in zip(self._free, self.shelves(), strict=True):
            used = {record.place for record in shelf.slots if record}
            free[:] = [place for place in range(WARM_UP) if place not in used]
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
            for record in filter(None, shelf.slots):
                self.put(head, record)

    def fields(self, n_layers: int) -> dict[str, Any]:
        """The fields of a result that begin with `kept`, and `edges`."""
        shelves = self.shelves()
        places = [
            (head, slot, record)
            for head, shelf in enumerate(shelves)
            for slot, record in enumerate(shelf.slots)
            if record is not None
        ]
        heads, slots, records = zip(*places, strict=True)
        at = np.array(heads), np.array(slots)
        there = at[0], np.array([record.place for record in records])
        shape = (len(shelves), SLOTS)
        fields: dict[str, Any] = {
            "kept": np.zeros(shape, bool),
            "kept_numbers": np.zeros(shape, np.int32),
            "kept_maxima": np.full(shape, np.nan, np.float32),
            "kept_values": np.full(shape, np.nan, np.float32),
        }
        fields["kept"][at] = True
        fields["kept_numbers"][at] = [record.number for record in records]
        fields["kept_maxima"][at] = [record.maximum for record in records]
        fields["kept_values"][at] = [record.largest_value for record in records]
        for name, values in self._numbers.items():
            own = np.zeros((*shape, *values.shape[2:]), values.dtype)
            own[at] = values[there]
            fields[f"kept_{name}"] = own
        fields["edges"] = np.array([shelf.edges for shelf in shelves], np.float32)
        return {n: value.reshape(n_layers, -1, *value.shape[1:]) for n, value in fields.items()}

    def _settle(self, shelves: list[Shelf]) -> None:
        self._shelves = shelves
        self._edges = np.array([shelf.edges for shelf in shelves])
        # By head and interval, the maximum above which a window is kept.
        self._least = np.array([shelf.least for shelf in shelves])


def numbers_kept(kept: dict[str, Any]) -> Int[np.ndarray, " kept"]:
    """The windows that some head keeps, in the order of the text."""
    numbers: np.ndarray = np.unique(kept["kept_numbers"][kept["kept"]])
    return numbers
