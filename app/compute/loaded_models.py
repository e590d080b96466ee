"""Models in memory: so many and so many bytes, the least recently used ones released for others."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.errors import AnalysisError
from analysis.models.device import device_memory
from analysis.models.files import Stamp, stamp
from analysis.models.info import ModelInfo, machine_memory
from app.compute.admission import LOOK
from app.compute.memory import return_memory
from app.compute.refusals import TryAgain
from app.compute.shared_cache import SharedCache
from app.compute.visitor import Visitor
from app.config import Config

if TYPE_CHECKING:
    from analysis.models.loading import HeadModel

# Of the memory of the GPU, or else of the main memory, for loaded models: as for `ModelInfo.fits`.
SHARE_OF_MEMORY = 2 / 3
_MB = 2**20
# Seconds to wait for models that are being worked with, before a request is refused.
PATIENCE = 20.0


def most_weights(config: Config, on_gpu: bool = True) -> int:
    """Bytes of weights that one process may hold by its settings.

    Args:
        config: The settings.
        on_gpu: Whether it takes a GPU if there is one.
    """
    memory = (device_memory() if on_gpu else None) or machine_memory()
    return config.models_mb * _MB or int(memory * SHARE_OF_MEMORY)


def most_beside(config: Config) -> int:
    """Bytes that computations may take beside weights: on a GPU no more than these leave of it."""
    asked = config.memory_mb * _MB
    memory = device_memory()
    return asked if memory is None else max(_MB, min(asked, memory - most_weights(config)))


def require_allowed(info: ModelInfo, limit: int) -> None:
    """Refuse a model of more bytes than may be held.

    Raises:
        AnalysisError: It has more.
    """
    if info.weight_bytes > limit:
        raise AnalysisError(
            f"{info.name} takes about {info.weight_bytes / _MB:,.0f} MB of memory; loaded models "
            f"may take {limit / _MB:,.0f} MB on this server. Choose a smaller model."
        )


@dataclass
class _Kept:
    model: HeadModel | None
    nbytes: int

    def is_released(self) -> bool:
        """Let go of the model, unless a computation works with it."""
        assert self.model is not None
        # CPython frees at once what nobody refers to: what is there afterwards is in use.
        there = weakref.ref(self.model)
        self.model = None
        self.model = there()
        return self.model is None


class LoadedModels:
    """Models by name, bounded in number and bytes; safe for any number of threads.

    A model that somebody works with is never released: who needs its memory waits a while.

    Args:
        most: How many there may be.
        max_bytes: Bytes of their weights, together.
        load: Loads one.
        patience: See `PATIENCE`.
    """

    def __init__(
        self,
        most: int,
        max_bytes: int,
        load: Callable[[ModelInfo], HeadModel],
        patience: float = PATIENCE,
    ):
        self._most, self._max_bytes = most, max_bytes
        self._load, self._patience = load, patience
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the one used last at the end
        self._arriving: dict[str, int] = {}  # bytes of those that are being loaded
        # Each loads in a thread of its own: nothing ends a load half way, but who waits may leave.
        self._coming: dict[str, Future[HeadModel]] = {}
        # Why a model was refused, and what its files were then: they would be read and run again
        # for each who asks, and the models of others released for it.
        self._refused: dict[str, tuple[Stamp, str]] = {}
        # Keeps nothing: requests for one model share its loading.
        self._loads = SharedCache(0, size_of=lambda model: 1)

    def get(self, info: ModelInfo, visitor: Visitor) -> HeadModel:
        """The loaded model of `info`, which stays in memory as long as the caller refers to it.

        Raises:
            AnalysisError: It can never fit, or all memory is held by models in use; or what
                loading raises.
        """
        if known := self.known(info):
            return known

        def bring() -> HeadModel:
            return self.known(info) or self._bring(info, visitor)

        def while_another_does() -> None:
            visitor.loads(info.title, info.weight_bytes)

        try:
            return self._loads.get(info.name, bring, while_another_does)
        finally:
            visitor.ends()

    def known(self, info: ModelInfo) -> HeadModel | None:
        """The model if it is loaded, as its files are now."""
        with self._lock:
            if info.name not in self._kept:
                return None
            self._kept.move_to_end(info.name)
            model = self._kept[info.name].model
        # Replaced files are loaded anew: results go under what the files are now. Asked outside of
        # the lock, since telling may take reading all of them.
        return model if model is not None and model.is_current else None

    def _bring(self, info: ModelInfo, visitor: Visitor) -> HeadModel:
        """The model of a load that goes on, though who began it may have left, or of a new one."""
        with self._lock:
            coming = self._coming.get(info.name)
            files, refusal = self._refused.get(info.name, ((), ""))
        if refusal and files == stamp(info):
            raise AnalysisError(refusal)
        if coming is None:
            coming = Future()
            try:
                self._reserve(info, visitor)
                visitor.loads(info.title, info.weight_bytes)
                with self._lock:
                    self._coming[info.name] = coming
                threading.Thread(target=self._load_into, args=(coming, info), daemon=True).start()
            except BaseException:
                # Also where a visitor leaves in the instant the room is held.
                self._no_longer_coming(info.name)
                raise
        while not wait([coming], LOOK).done:
            visitor.loads(info.title, info.weight_bytes)
        try:
            return coming.result()
        finally:
            del coming  # a failure's traceback has this frame: both would hold each other

    def _load_into(self, coming: Future[HeadModel], info: ModelInfo) -> None:
        files = stamp(info)  # before they are read: what replaces them meanwhile is not refused
        try:
            model = self._load(info)
        except BaseException as error:
            # Of a model without files it may be the network that failed.
            if files and isinstance(error, AnalysisError) and not isinstance(error, TryAgain):
                with self._lock:
                    self._refused[info.name] = files, str(error)
            self._no_longer_coming(info.name)
            coming.set_exception(error)
            return
        self._no_longer_coming(info.name, _Kept(model, model.nbytes))
        coming.set_result(model)

    def _no_longer_coming(self, name: str, kept: _Kept | None = None) -> None:
        with self._lock:
            self._arriving.pop(name, None)
            self._coming.pop(name, None)
            if kept:
                self._kept[name] = kept

    def _reserve(self, info: ModelInfo, visitor: Visitor) -> None:
        """Make room for a model and hold it, waiting for others' work to end."""
        require_allowed(info, self._max_bytes)
        need = info.weight_bytes
        deadline = time.monotonic() + self._patience
        try:
            while not self._has_room(info.name, need):
                if time.monotonic() > deadline:
                    raise TryAgain(
                        f"There is no memory for {info.name} while other models are being worked "
                        "with. Try again in a minute."
                    )
                # A failed computation may be held by its own traceback, in a cycle. Before another
                # try: collecting alone can outlast the deadline.
                gc.collect()
                visitor.waits(1, deadline - time.monotonic())
                time.sleep(LOOK)
        finally:
            visitor.enters()

    def _has_room(self, name: str, need: int) -> bool:
        """Whether a model fits beside those in use; then its room is held."""
        with self._lock:
            before = len(self._kept)
            for idle, kept in list(self._kept.items()):
                if not self._fits(need) and kept.is_released():
                    del self._kept[idle]
            if fits := self._fits(need):
                self._arriving[name] = need
        if len(self._kept) < before:
            return_memory()
        return fits

    def _fits(self, need: int) -> bool:
        there = [kept.nbytes for kept in self._kept.values()] + list(self._arriving.values())
        return len(there) < self._most and sum(there) + need <= self._max_bytes
