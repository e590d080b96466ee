"""All that the visitors of one server share, made from its settings: nothing of it is global."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

import analysis
from analysis.errors import AnalysisError
from analysis.models.catalog import find_model, refresh
from analysis.models.info import load_elsewhere
from app.compute.admission import Admission
from app.compute.background import Background
from app.compute.downloads import Downloads
from app.compute.exports import Exports
from app.compute.imports import import_all
from app.compute.loaded_models import LoadedModels, most_beside, most_weights
from app.compute.one_by_one import OneByOne
from app.compute.rate import RateLimit
from app.compute.refusals import memory_errors_said
from app.compute.rooms import Rooms
from app.compute.shared_cache import SharedCache, nbytes
from app.compute.stored import Results, open_folder
from app.compute.sweeps import Sweeps
from app.compute.visitor import Nobody, Visitor, awaiting
from app.config import Config, ConfigError, settings

if TYPE_CHECKING:
    from analysis.heads.corpus.results import CorpusScan
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel
    from app.compute.replicas.replica import Replica
    from app.compute.workers.crew import Engine

# Seconds after the first page.
WARM_UP_AFTER = 2.0
# A model runs one thing at a time; a second sweep can be of another model.
MAX_SWEEPS_AT_ONCE = 2
MAX_SWEEPS = 32
# With one, a page that waits for what we do not know of would hold up all others.
DRAWN_AT_ONCE = 2
# In line; more have closed their tabs and not been noticed yet.
MAX_DRAWN = 1000
# Seconds of one turn to draw: most pages take a tenth of a second.
LONGEST_TURN = 1.0
# A text takes minutes of a model, and its result tens of megabytes.
MAX_SCANS_AT_ONCE = 1
MAX_SCANS = 4
_MB = 2**20


class Server:
    """Limits, results, models, rooms and work under way of one server.

    Of the process itself remain what Python has imported, torch's number of threads and which
    models `analysis` offers.
    """

    def __init__(self, config: Config):
        self.config = config
        # Says, in the thread that calls it, who asks.
        self.visitor: Callable[[], Visitor] = Nobody
        # What workers of a cluster have is theirs to know.
        beside = config.memory_mb * _MB if config.ray else most_beside(config)
        self.admission = Admission(beside, config.computations_at_once, config.max_waiting)
        # Pages, of which Python draws one at a time: more at once only wait for each other. One
        # that waits for something else soon no longer counts.
        self.drawing = Admission(0, DRAWN_AT_ONCE, MAX_DRAWN, longest=LONGEST_TURN)
        # Says to whoever keeps them that files nobody downloads may go.
        self.tidy: Callable[[], None] = lambda: None
        self.exports = Exports(self.admission, lambda: self.tidy())
        self.rate = RateLimit(config.computations_per_minute)
        # Opening many tabs does not multiply it.
        self.address_rate = RateLimit(
            config.computations_per_minute_and_address, "each network address"
        )
        self.results = SharedCache(config.cache_mb * _MB, size_of=nbytes)
        self.folder = open_folder(config.cache_folder, config.cache_folder_mb * _MB)
        # Where results outlive this process, in the order in which they are asked.
        self.stores: list[Results] = [self.folder] if self.folder else []
        self.models = LoadedModels(
            config.models_in_memory,
            most_weights(config, on_gpu=not config.ray),
            load=self._load,
        )
        self.sweeps = Sweeps(MAX_SWEEPS_AT_ONCE, MAX_SWEEPS)
        self.scans: Background[CorpusScan] = Background("text", MAX_SCANS_AT_ONCE, MAX_SCANS)
        # What does pieces of long work; None: this process does.
        self.engine = self._hire(config.workers, config.ray)
        # Whoever names a cluster keeps the models there: this process holds no weights.
        self.holds_models = not config.ray
        if not self.holds_models:
            load_elsewhere()
            refresh()
        at_once = self.engine.width if self.engine else 1
        self.mosaic = OneByOne("the scores", at_once=at_once)
        self.downloads = Downloads()
        # Held while a data set is fetched: one process of that kind is enough.
        self.fetching = threading.Lock()
        self.rooms = Rooms(config.rooms_per_address)
        # What other processes of this server share with this one; None without the setting.
        self.replica: Replica | None = None
        if config.redis:
            self._share(config.redis)
        self._lock = threading.Lock()
        self._warmed_up: set[str] = set()

    @property
    def is_cut_off(self) -> bool:
        """Whether this process shares with others, and cannot reach what they share now."""
        return self.replica is not None and self.replica.is_cut_off

    @staticmethod
    def _hire(workers: int, ray: str) -> Engine | None:
        if ray and not workers:
            raise ConfigError("ray is set, and workers is 0. Set how many workers it has.")
        if not workers:
            return None
        # With the setting only: nothing of it is imported without.
        from app.compute.workers.crew import Crew
        from app.compute.workers.office import OwnOffice
        from app.compute.workers.process import WorkerProcess

        if not ray:
            return Crew(OwnOffice(WorkerProcess, workers))
        from app.compute.workers.actors import RayCluster

        try:
            cluster = RayCluster(ray, workers)
            return Crew(cluster.office(), cluster.leave)
        except ImportError as error:
            raise ConfigError(
                "ray is set, and the package for it is not installed: "
                "pip install -r requirements-ray.txt."
            ) from error
        except (ConnectionError, ValueError) as error:
            raise ConfigError(f"ray names no cluster that can be joined: {error}.") from error

    def _share(self, url: str) -> None:
        # With the setting only: nothing of it is imported without.
        from app.compute.replicas.fetching import CHANNEL, SharedFetch
        from app.compute.replicas.replica import Replica
        from app.compute.replicas.results import SharedResults
        from app.compute.replicas.steps import SharedSweeps
        from app.compute.replicas.wire import Wire

        try:
            wire = Wire(url)
        except ImportError as error:
            raise ConfigError(
                "redis is set, and the package for it is not installed: "
                "pip install -r requirements-cluster.txt."
            ) from error
        except ValueError as error:
            raise ConfigError(f"redis is no address of a Redis: {error}.") from error
        self.stores.append(SharedResults(wire))
        self.sweeps.shared = SharedSweeps(wire).work
        self.downloads = Downloads(SharedFetch(wire))
        used = {"pages": self.drawing.used, "computations": self.admission.used}
        used |= {"sweeps": self.sweeps.used, "texts": self.scans.used}
        limits = {"computations": self.address_rate, "guesses": self.rooms.guesses}
        heard = {CHANNEL: lambda data: refresh()}
        self.replica = Replica(wire, self.rooms, used, limits, heard)

    @contextmanager
    def used(self) -> Iterator[Server]:
        """Let this thread ask this server."""
        token = _used.set(self)
        try:
            yield self
        finally:
            _used.reset(token)

    def warm_up(self, name: str) -> None:
        """Load the model called `name` in the background, while the visitor reads the first page.

        Once: a model that has been released since is loaded by who needs it.
        """
        with self._lock:
            if name in self._warmed_up:
                return
            self._warmed_up.add(name)

        def load() -> None:
            # An import holds up the server while the browser still fetches the page's scripts.
            time.sleep(WARM_UP_AFTER)
            with suppress(AnalysisError):  # whoever asks for it is told
                self.bring(find_model(name))

        threading.Thread(target=load, daemon=True, name="warm-up").start()

    def bring(self, info: ModelInfo) -> None:
        """Have a model loaded, wherever models are.

        Raises:
            AnalysisError: As `LoadedModels.get`, or what loading raises.
        """
        who = self.visitor()
        if self.engine is None or self.holds_models:
            self.models.get(info, who)
            return
        try:
            self.engine.meet(info, awaiting(who, info.title, info.weight_bytes))
        finally:
            who.ends()

    def _load(self, info: ModelInfo) -> HeadModel:
        import_all()
        if self.config.threads:
            import torch  # not before it is needed

            torch.set_num_threads(self.config.threads)
        with memory_errors_said():
            return analysis.load_model(info.name)


_used: ContextVar[Server] = ContextVar("headscope.server")
_installing = threading.Lock()
_installed: Server | None = None


def install(server: Server) -> None:
    """Let all threads of this process ask this server, but for those that use another."""
    global _installed
    with _installing:
        _installed = server


def current_server() -> Server:
    """The server that this thread uses, or the installed one.

    With neither, as where Streamlit runs the entry point by itself, one is made from the settings
    of this process on first use.
    """
    global _installed
    if used := _used.get(None):
        return used
    with _installing:
        if _installed is None:
            _installed = Server(settings())
        return _installed
