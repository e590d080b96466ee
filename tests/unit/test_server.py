"""Servers: all that visitors share hangs on one, and importing the app makes none."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis.errors import AnalysisError
from analysis.models.catalog import list_models
from analysis.models.files import fingerprint
from app.compute import calls, server
from app.compute.ask import ask
from app.compute.engine import check_said
from app.compute.question import Question
from app.compute.refusals import TryAgain
from app.compute.rooms import Guest, RoomError
from app.compute.server import Server, current_server, install
from app.compute.visitor import Nobody
from app.config import Config
from tests.views import view

INFO = list_models()[0]
VIEW = view("ablation")


class Visitor(Nobody):
    """Somebody, who has a budget."""

    name = "somebody"


def test_two_servers_in_one_process_share_nothing(tmp_path: Path) -> None:
    asked: list[int] = []
    counted = Question("counted", lambda: lambda model, part: asked.append(part) or len(asked))
    small = Server(Config(max_tokens=128, memory_mb=64, computations_per_minute=20))
    large = Server(Config(cache_folder=str(tmp_path)))
    with small.used():
        assert [ask(counted, INFO, 1), ask(counted, INFO, 1)] == [1, 1]
    with large.used():
        assert ask(counted, INFO, 1) == 2  # what the other one remembers is not known here
        assert calls.tokens_of(VIEW.with_values(input="repeated")).batch == 10
        code, key = current_server().rooms.open("head", {}, Guest("host"))
    assert list(tmp_path.glob("cache.db")) and small.folder is None
    with small.used(), pytest.raises(AnalysisError, match="at most 128 are run at once"):
        calls.tokens_of(VIEW.with_values(input="repeated"))
    assert small.models.get(INFO, Nobody()) is not large.models.get(INFO, Nobody())
    assert small.rooms.followers(key) is None and large.rooms.followers(key) == 0
    with pytest.raises(RoomError):
        small.rooms.follow(code, Guest("a"))
    small.visitor = large.visitor = Visitor
    with small.used(), pytest.raises(TryAgain, match="More than 20 new results"):
        for part in range(2, 30):
            ask(counted, INFO, part)
    with large.used():
        for part in range(2, 30):
            ask(counted, INFO, part)


def test_threads_use_their_own_server_and_else_the_installed_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_installed", None)
    default, other = Server(Config()), Server(Config())
    install(default)

    def used_in(mine: Server | None) -> Server:
        if mine is None:
            return current_server()
        with mine.used():
            return current_server()

    with other.used(), ThreadPoolExecutor(2) as pool:
        assert current_server() is other
        assert pool.submit(used_in, None).result() is default
        assert pool.submit(used_in, other).result() is other
    assert current_server() is default


def test_without_an_installed_one_the_first_who_asks_makes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_installed", None)
    with ThreadPoolExecutor(8) as pool:
        found = {id(each) for each in pool.map(lambda _: current_server(), range(32))}
    assert len(found) == 1


def test_work_in_the_background_stays_with_its_server() -> None:
    mine = Server(Config())
    with mine.used():
        sweep = calls.ablation_sweep(VIEW, "zero")
    assert len(sweep.wait(lambda done, total: None).found) == INFO.n_layers * INFO.n_heads
    # Its own model and its own estimate, though this thread uses another server by now.
    assert "ablation_estimate" in {key[0] for key, _ in mine.results.items()}


def test_importing_the_app_reads_no_settings_and_builds_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("= no TOML")
    code = """
import gc, importlib, pkgutil, sys, threading
import app
for module in pkgutil.walk_packages(app.__path__, "app."):
    importlib.import_module(module.name)
from app.compute import admission, downloads, exports, loaded_models, one_by_one, rate, rooms
from app.compute import server, shared_cache, stored, sweeps
kinds = (
    server.Server, admission.Admission, rate.RateLimit, downloads.Downloads, exports.Exports,
    loaded_models.LoadedModels, one_by_one.OneByOne, rooms.Rooms, shared_cache.SharedCache,
    stored.ResultFolder, sweeps.Sweeps,
)
assert not [each for each in gc.get_objects() if isinstance(each, kinds)]
ours = {"sweep", "one by one", "downloads", "memory", "warm-up"}
assert not ours & {thread.name for thread in threading.enumerate()}
assert server._installed is None
assert "torch" not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HEADSCOPE_CONFIG": str(broken)},
        check=True,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("model", "met", "words"),
    [
        (None, None, ""),
        (SimpleNamespace(checked=None), None, ""),
        (SimpleNamespace(checked=3.2e-7), None, "differ by 3e-07 at most"),
        # Where workers have the models, one of them has said so.
        (None, {}, ""),
        (None, {fingerprint(INFO): None}, ""),
        (None, {fingerprint(INFO): 4.1e-7}, "differ by 4e-07 at most"),
    ],
)
def test_a_model_says_how_far_it_is_from_transformers_once_it_is_loaded(
    model: object, met: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = None if met is None else SimpleNamespace(met=met)
    server = SimpleNamespace(models=SimpleNamespace(known=lambda info: model), engine=engine)
    monkeypatch.setattr("app.compute.engine.current_server", lambda: server)
    found = check_said(INFO)
    assert words in found
    assert bool(found) == bool(words)
