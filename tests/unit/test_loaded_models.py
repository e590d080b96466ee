"""Models in memory: bounded, released when idle, never taken from a computation."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from analysis.errors import AnalysisError
from analysis.models.catalog import find_model
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel, load_model
from app.compute.loaded_models import LoadedModels
from app.compute.refusals import TryAgain
from app.compute.visitor import Nobody

pytestmark = pytest.mark.usefixtures("little_garbage")
SMALL = find_model("attn-only-2l")


def info(name: str, nbytes: int = 100) -> ModelInfo:
    return replace(SMALL, name=name, n_params=nbytes // 4)


@dataclass(eq=False)
class Fake:
    """What stands in for a loaded model."""

    name: str
    nbytes: int
    is_current: bool = True


class Shelf:
    """Loaded fakes that notes what was loaded."""

    def __init__(self, most: int = 9, max_bytes: int = 250, patience: float = 0):
        self.loaded: list[str] = []
        self.models = LoadedModels(most, max_bytes, self.load, patience)  # type: ignore[arg-type]

    def load(self, info: ModelInfo) -> Fake:
        """Note it and make it."""
        self.loaded.append(info.name)
        return Fake(info.name, info.weight_bytes)

    def get(self, name: str, nbytes: int = 100) -> HeadModel:
        """As a computation does."""
        return self.models.get(info(name, nbytes), Nobody())


def test_who_waits_is_told_which_model_is_loaded() -> None:
    class Reader(Nobody):
        def __init__(self) -> None:
            self.told: list[str] = []

        def loads(self, title: str, nbytes: int) -> None:
            self.told = [f"{title} {nbytes}"]

        def ends(self) -> None:
            self.told.append("end")

    shelf, reader = Shelf(), Reader()
    alpha = replace(info("a"), title="Alpha")
    for _ in range(2):
        shelf.models.get(alpha, reader)
    assert reader.told == ["Alpha 100", "end"]


@pytest.mark.parametrize("limits", [{"max_bytes": 250}, {"most": 2, "max_bytes": 10**9}])
def test_two_users_below_the_bound_do_not_evict_each_other(limits: dict[str, int]) -> None:
    shelf = Shelf(**limits)
    for name in "abab" * 3:
        assert shelf.get(name).name == name
    assert shelf.loaded == ["a", "b"]
    # A third takes the place of the one used least recently, and of no other.
    shelf.get("a")
    shelf.get("c")
    shelf.get("a")
    assert shelf.loaded == ["a", "b", "c"]
    shelf.get("b")
    assert shelf.loaded == ["a", "b", "c", "b"]


def test_what_is_released_is_gone_from_memory() -> None:
    """A real model, whose bridge is full of references to itself."""
    largest = int(SMALL.weight_bytes * 1.5)
    models = LoadedModels(9, largest, lambda info: load_model(info.name))
    model = models.get(SMALL, Nobody())
    bridge = weakref.ref(model.bridge)
    assert 0.9 < model.nbytes / SMALL.weight_bytes < 1.2
    del model
    gc.disable()  # the release itself has to collect
    try:
        models.get(find_model("attn-only-2l@1221"), Nobody())
        assert bridge() is None
    finally:
        gc.enable()


def test_a_model_in_use_stays_and_an_idle_one_goes_instead() -> None:
    shelf = Shelf()
    used = shelf.get("a")
    shelf.get("b")
    shelf.get("c")
    assert shelf.get("a") is used
    assert shelf.loaded == ["a", "b", "c"]


def test_who_needs_the_memory_of_models_in_use_waits_and_is_told() -> None:
    class Watcher(Nobody):
        def waits(self, place: int, seconds: float) -> None:
            """The other's work ends while this one waits."""
            held.clear()

    shelf = Shelf(max_bytes=100, patience=30)
    held = [shelf.get("a")]
    assert shelf.models.get(info("b"), Watcher()).name == "b"
    hurried = Shelf(max_bytes=100)
    held = [hurried.get("a")]
    with pytest.raises(AnalysisError, match="no memory for b while other models are being"):
        hurried.get("b")
    assert hurried.get("a") is held[0]


def test_a_model_above_the_whole_bound_is_refused_before_it_is_loaded() -> None:
    shelf = Shelf(max_bytes=2**20)
    shelf.get("a", 2**20)
    with pytest.raises(AnalysisError, match=r"b takes about 3 MB .* may take 1 MB on this server"):
        shelf.get("b", 3 * 2**20)
    shelf.get("a", 2**20)
    assert shelf.loaded == ["a"]


def test_a_model_that_cannot_be_loaded_leaves_its_room_and_is_tried_again_when_its_files_change(
    tmp_path: Path,
) -> None:
    tried: list[str] = []

    def load(info: ModelInfo) -> HeadModel:
        tried.append(info.name)
        if info.name == "b":
            return Fake("b", 100)  # type: ignore[return-value]
        raise TryAgain("busy") if len(tried) == 1 else AnalysisError("damaged")

    models, broken = LoadedModels(9, 100, load, 0), replace(info("a"), folder=tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TryAgain, match="busy"):
        models.get(broken, Nobody())
    for _ in range(3):
        with pytest.raises(AnalysisError, match="damaged"):
            models.get(broken, Nobody())
    assert tried == ["a", "a"]
    assert models.get(info("b"), Nobody()).name == "b"
    (tmp_path / "config.json").write_text("{ }")
    with pytest.raises(AnalysisError, match="damaged"):
        models.get(broken, Nobody())
    assert tried == ["a", "a", "b", "a"]


@pytest.mark.parametrize("moment", ["enters", "loads"])
def test_who_leaves_while_room_is_held_leaves_it_to_others(moment: str) -> None:
    class Gone(BaseException):
        """As Streamlit ends a script."""

    class Leaver(Nobody):
        def leave(self, *_: object) -> None:
            raise Gone

    setattr(Leaver, moment, Leaver.leave)
    shelf = Shelf(most=1, max_bytes=100)
    with pytest.raises(Gone):
        shelf.models.get(info("a"), Leaver())
    assert shelf.get("b").name == "b"


def test_who_waits_for_a_load_may_leave_at_once_and_the_load_goes_on() -> None:
    class Leaver(Nobody):
        def loads(self, title: str, nbytes: int) -> None:
            """The second time: the load is under way."""
            if begun.is_set():
                raise TimeoutError

    begun, may_end = threading.Event(), threading.Event()
    shelf = Shelf(most=1)

    def slow(info: ModelInfo) -> HeadModel:
        begun.set()
        assert may_end.wait(60)
        return shelf.load(info)  # type: ignore[return-value]

    models = LoadedModels(1, 250, slow, 60)
    with pytest.raises(TimeoutError):
        models.get(info("a"), Leaver())
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(models.get, info("a"), Nobody())
        may_end.set()
        assert late.result(60).name == "a"
    assert shelf.loaded == ["a"]


def test_many_visitors_share_one_loading() -> None:
    shelf = Shelf()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: shelf.get("a"), range(32)))
    assert all(model is found[0] for model in found)
    assert shelf.loaded == ["a"]
