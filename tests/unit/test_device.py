"""Where models lie on a GPU, its memory counts: by a device that only says that it is one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from analysis.models import device
from analysis.models.device import device_memory, wait_for
from app.compute.loaded_models import most_beside, most_weights
from app.compute.memory import return_memory
from app.compute.server import Server
from app.compute.workers.actors import gpus_each
from app.compute.workers.serve import load
from app.config import Config

GIB = 2**30
MAIN = 64 * GIB


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("app.compute.loaded_models.machine_memory", lambda: MAIN)
    device_memory.cache_clear()
    yield
    device_memory.cache_clear()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 12 GiB."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    properties = SimpleNamespace(total_memory=12 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: properties)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_weights_share_the_main_memory() -> None:
    assert device_memory() is None
    assert most_weights(Config()) == MAIN * 2 // 3
    assert most_beside(Config(memory_mb=4096)) == 4 * GIB


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu_weights_and_computations_share_its_memory() -> None:
    assert device_memory() == 12 * GIB
    assert most_weights(Config()) == 8 * GIB
    assert most_weights(Config(models_mb=1024)) == GIB
    assert most_beside(Config(memory_mb=2048)) == 2 * GIB
    assert most_beside(Config(memory_mb=8192)) == 4 * GIB
    assert most_beside(Config(memory_mb=8192, models_mb=20_000)) > 0
    server = Server(Config(memory_mb=8192))
    assert server.admission._max_bytes == 4 * GIB
    assert server.models._max_bytes == 8 * GIB


@pytest.mark.usefixtures("gpu")
def test_workers_that_are_processes_are_there_for_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr("app.compute.workers.serve.require_allowed", lambda info, most: None)

    def loaded(name: str, where: str) -> None:
        asked.append(where)
        raise InterruptedError

    monkeypatch.setattr("analysis.load_model", loaded)
    for on_gpu in (True, False):
        with pytest.raises(InterruptedError):
            load("attn-only-2l", on_gpu)
    assert asked == ["auto", "cpu"]
    assert most_weights(Config(), on_gpu=False) == MAIN * 2 // 3


def test_torch_is_not_imported_to_find_out_that_there_is_no_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = {name: module for name, module in sys.modules.items() if name != "torch"}
    monkeypatch.setattr(device, "sys", SimpleNamespace(modules=without))
    monkeypatch.setattr(device, "_has_driver", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("it was asked"))
    assert device_memory() is None


def test_what_is_kept_of_a_gpu_s_memory_is_given_back_with_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given.append("back"))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    return_memory()
    assert not given
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    return_memory()
    assert given == ["back"]


def test_a_gpu_is_waited_for_before_time_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    wait_for(torch.device("cpu"))
    wait_for(torch.device("cuda", 0))
    assert waited == [torch.device("cuda", 0)]


@pytest.mark.parametrize(
    ("resources", "workers", "each"),
    [({}, 2, 0), ({"GPU": 2.0}, 2, 1), ({"GPU": 1.0}, 2, 0), ({"GPU": 8.0}, 2, 1)],
)
def test_every_worker_of_a_cluster_has_a_gpu_or_none_has(
    resources: dict[str, float], workers: int, each: int
) -> None:
    assert gpus_each(resources, workers) == each
