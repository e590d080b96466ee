"""Files that visitors take along: made in turn, and so many bytes of them kept at once.

Streamlit makes such a file where a button is pressed, beside everything else, and keeps it until it
has tidied up: without this a few large ones take more memory than all computations together.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.compute.admission import LOOK, Admission
from app.compute.refusals import TryAgain
from app.compute.visitor import Nobody

_MB = 2**20
PER_VISITOR, PER_ADDRESS, IN_ALL = 96 * _MB, 160 * _MB, 256 * _MB
# Estimated bytes from which a file is large: so many of one address, and of all, at a time. Threads
# in which files are made are few, and who waits in one keeps others from it.
LARGE = 8 * _MB
LARGE_OF_ONE, LARGE_OF_ALL = 2, 4
# Seconds to wait for others' work, and for their files to go.
PATIENCE = 20.0
_BUSY = "Many files are being made. Try again in a minute."


class Taker(Nobody):
    """Whoever presses a button for a file; no page waits, so nothing is shown meanwhile."""

    def __init__(self, name: str, address: str | None):
        self.name, self.address = name, address
        self._until: float | None = None

    def waits(self, place: int, seconds: float) -> None:
        """Not for ever: the browser only shows that it waits."""
        self._until = self._until or time.monotonic() + PATIENCE
        if time.monotonic() > self._until:
            raise TryAgain(_BUSY)


class _File(bytes):
    """Bytes that say when nobody holds them any more."""

    gone: Callable[[], None] | None = None

    def __del__(self) -> None:
        if self.gone is not None:
            self.gone()


class Exports:
    """The files of one server; safe for any number of threads.

    Args:
        admission: Bounds the memory that is taken while they are made.
        tidy: Lets go of those that nobody downloads any more.
        patience: See `PATIENCE`.
    """

    def __init__(self, admission: Admission, tidy: Callable[[], None], patience: float = PATIENCE):
        self._admission, self._tidy, self._patience = admission, tidy, patience
        # Reentrant: a file can be let go in the middle of anything, so also in here.
        self._lock = threading.RLock()
        self._kept: Counter[tuple[str, str | None]] = Counter()  # by name and address
        self._made: Counter[str] = Counter()  # large ones under way, by address

    def make(self, taker: Taker, need: int, make: Callable[[], bytes]) -> bytes:
        """A file that `make` makes, which takes `need` bytes meanwhile and half of them after.

        Raises:
            AnalysisError: It can never fit, or too much is kept or made already.
        """
        self._admission.check_fits(need)
        who = (taker.name or "", taker.address)
        with self._turn(taker, need):
            with self._admission.admitted(need, taker):
                file = _File(make())
            size = len(file)
            with self._lock:
                self._kept[who] += size
        file.gone = lambda: self._let_go(who, size)
        return file

    @property
    def kept(self) -> int:
        """Bytes of all files that somebody holds, those that are being made counted."""
        with self._lock:
            return self._kept.total()

    def _let_go(self, who: tuple[str, str | None], size: int) -> None:
        with self._lock:
            self._kept[who] -= size
            if not self._kept[who]:
                del self._kept[who]

    @contextmanager
    def _turn(self, taker: Taker, need: int) -> Iterator[None]:
        """Room for a file while it is made; for a large one it is waited."""
        if need < LARGE:
            # At once or not at all; a page has dozens of them, and an address many pages.
            with self._room(taker, need // 2, patience=0.0):
                yield
            return
        address = taker.address or taker.name or ""
        with self._lock:
            if self._made[address] >= LARGE_OF_ONE or self._made.total() >= LARGE_OF_ALL:
                raise TryAgain(_BUSY)
            self._made[address] += 1
        try:
            with self._room(taker, need // 2, self._patience):
                yield
        finally:
            with self._lock:
                self._made[address] -= 1
                if not self._made[address]:
                    del self._made[address]

    @contextmanager
    def _room(self, taker: Taker, size: int, patience: float) -> Iterator[None]:
        who, until = (taker.name or "", taker.address), time.monotonic() + patience
        while not self._takes(who, size):
            self._tidy()
            if self._takes(who, size):
                break
            if time.monotonic() >= until:
                raise TryAgain(_BUSY)
            time.sleep(LOOK)
        try:
            yield
        finally:
            self._let_go(who, size)

    def _takes(self, who: tuple[str, str | None], size: int) -> bool:
        """Count so many bytes as kept, if there is room: of two at once the second one knows."""
        with self._lock:
            here = sum(kept for (_, where), kept in self._kept.items() if where and where == who[1])
            if (
                self._kept[who] + size > PER_VISITOR
                or here + size > PER_ADDRESS
                or self._kept.total() + size > IN_ALL
            ):
                return False
            self._kept[who] += size
            return True
