"""Workers: the same numbers as in this process, a lost one's pieces again, and nothing pickled."""

from __future__ import annotations

import io
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import analysis
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from analysis.heads.mosaic import mosaic_scores
from analysis.models.catalog import find_model
from analysis.models.loading import HeadModel
from analysis.models.mapped import map_weights
from analysis.roles.verdict import Verdict, verdict
from app.compute import calls
from app.compute.calls.corpus import _steps
from app.compute.server import Server
from app.compute.texts import Text
from app.compute.workers.crew import TRIES, Crew
from app.compute.workers.messages import NotAMessage, packed, unpacked
from app.compute.workers.office import OwnOffice, WorkerLost
from app.compute.workers.pieces import Asked, Job, unnamed
from app.compute.workers.process import WorkerProcess, read_message, write_message
from app.config import MAX_WORKERS, WORKERS, Config, ConfigError, settings
from tests.conftest import state_dict
from tests.views import view

NAME = "attn-only-2l"
INFO = find_model(NAME)
TEXT = " ".join(f"word {number % 7} of {number}," for number in range(2_000))


@pytest.fixture(scope="module")
def model() -> Iterator[HeadModel]:
    """On one thread, as workers are: sums of many threads may differ in their last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield analysis.load_model(NAME, device="cpu")
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One with two workers, whose processes stand in `hired`."""
    hired.clear()
    server = Server(Config(workers=2))
    assert isinstance(server.engine, Crew)
    assert isinstance(server.engine.office, OwnOffice)
    server.engine.office.hire = hire
    yield server
    server.engine.close()
    assert all(each.process.poll() is not None for each in hired)


hired: list[WorkerProcess] = []


def hire() -> WorkerProcess:
    hired.append(WorkerProcess())
    return hired[-1]


def nothing(*told: object) -> None:
    """Goes on."""


def test_a_sweep_by_workers_is_that_of_this_process_also_where_one_is_killed(
    server: Server, model: HeadModel
) -> None:
    tokens = analysis.repeated_tokens(model, length=40, batch=8, seed=3)
    heads = all_heads(model.info)
    alone = {one.head: one for one in analysis.ablate_each(model, tokens, heads, scored_only=True)}
    job = Job("sweep", INFO, (unnamed(tokens), "zero", 0))
    assert server.engine
    found = []
    with closing(server.engine.map(job, [(head,) for head in heads], nothing)) as results:
        for (one,) in results:
            found.append(one)
            if len(found) == 3:
                os.kill(hired[0].process.pid, signal.SIGKILL)
    assert [one.head for one in found] == list(heads)
    assert hired[0].process.wait(30) == -signal.SIGKILL
    for one in found:
        same = alone[one.head]
        assert abs(one.value - same.value) < 1e-6
        assert one.clean_loss == same.clean_loss
        np.testing.assert_allclose(one.per_token, same.per_token, atol=1e-6)


def test_a_page_s_sweep_is_the_same_to_the_bit(server: Server, model: HeadModel) -> None:
    selection = view("ablation", model=NAME, length=20, batch=4)
    told: list[int] = []
    with server.used():
        sweep = calls.ablation_sweep(selection, "mean")
        now = sweep.wait(lambda done, _: told.append(done))
    with Server(Config()).used():
        alone = calls.ablation_sweep(selection, "mean").wait(lambda done, total: None)
    np.testing.assert_array_equal(now.values(INFO), alone.values(INFO))
    assert now.total == len(now.found) == INFO.n_layers * INFO.n_heads


def test_a_reading_by_workers_is_that_of_this_process_to_the_bit(
    server: Server, model: HeadModel
) -> None:
    windows = analysis.text_windows(model, TEXT, 48)
    assert len(windows.ids) > 64  # more than the first, which say where intervals lie
    by_workers = analysis.CorpusReader(model.info, windows, 0)
    steps = list(_steps(server, INFO, by_workers, nothing))
    (*_, alone) = analysis.read_on(model, analysis.CorpusReader(model.info, windows, 0))
    assert steps[-1].done == steps[-1].total == len(windows.ids)
    assert [step.done for step in steps] == sorted({step.done for step in steps})
    for field in fields(alone.scan):
        ours, theirs = getattr(steps[-1].scan, field.name), getattr(alone.scan, field.name)
        if field.name in ("scores", "chance"):
            ours, theirs = dict(ours), dict(theirs)
        np.testing.assert_equal(ours, theirs, err_msg=field.name)


def test_a_page_reads_a_text_by_workers(server: Server) -> None:
    selection = view("corpus", model=NAME)
    with server.used():
        scan = calls.read_whole(selection, Text("a text", (TEXT,)))
    assert scan.n_windows == scan.n_total > 0


def test_a_verdict_by_workers_is_that_of_this_process(server: Server, model: HeadModel) -> None:
    selection = view("roles", model=NAME, set="indirect-object", rows=6, seed=0, method="zero")
    prompts = calls.prompt_set(selection)
    heads = (Head(1, 0), Head(1, 3))
    with server.used():
        found = calls.verdict(selection, heads, False, lambda done, total: None)
    bos = selection.bos
    alone = verdict(model, prompts, heads, "zero", seed=0, prepend_bos=bos)
    assert found.word == alone.word
    assert found.groups == alone.groups
    for name in ("effect", "by_row", "random", "clean", "clean_by_row"):
        np.testing.assert_allclose(getattr(found, name), getattr(alone, name), atol=1e-6)
    assert isinstance(found, Verdict)


def test_the_mosaic_s_scores_need_no_model_here(
    server: Server, model: HeadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = mosaic_scores(model)
    monkeypatch.setattr(server, "models", None)
    with server.used():
        found = calls.model_scores(INFO)
    for name in alone.values:
        np.testing.assert_array_equal(found[name], alone[name])


def test_work_that_is_cancelled_gives_its_workers_back(server: Server, model: HeadModel) -> None:
    tokens = unnamed(analysis.repeated_tokens(model, length=40, batch=8, seed=4))
    heads = all_heads(model.info)
    job = Job("sweep", INFO, (tokens, "zero", 0))
    asked: list[Head] = []

    def pieces() -> Iterator[tuple[Head]]:
        for head in heads:
            asked.append(head)
            yield (head,)

    class Left(Exception):
        pass

    def leave() -> None:
        raise Left

    engine = server.engine
    assert isinstance(engine, Crew)
    with pytest.raises(Left):
        list(engine.map(job, pieces(), leave))
    assert len(asked) == 2 * engine.width
    assert isinstance(engine.office, OwnOffice)
    assert not len(engine.office)
    (again,) = engine.map(job, [(heads[0],)], nothing)
    assert again[0].head == heads[0]


def test_what_a_piece_refuses_is_its_sentence(server: Server, model: HeadModel) -> None:
    tokens = unnamed(analysis.repeated_tokens(model, length=10, batch=1, seed=0))
    assert server.engine
    with pytest.raises(AnalysisError, match="L9H9"):
        list(server.engine.map(Job("sweep", INFO, (tokens, "zero", 0)), [(Head(9, 9),)], nothing))


class Says:
    """A worker that says what it is told to, and ends where that is nothing."""

    def __init__(self, answer: Callable[[bytes], bytes | None]):
        self._answer = answer

    def ask(self, data: bytes) -> bytes:
        """What it was told to say."""
        if (said := self._answer(data)) is None:
            raise WorkerLost
        return said

    def look(self, data: bytes) -> None:
        """It does not say."""

    def close(self) -> None:
        """Nothing to end."""


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch trapped",)


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        pickle.dumps(Trap()),
        packed("done", 7),
        packed("done", 7.0),
        packed("met", {}, "far"),
        packed("begun"),
        packed("unknown"),
    ],
)
def test_over_a_piece_that_workers_end_or_rave_they_are_tried_so_often(
    said: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hired = []

    def hire() -> Says:
        hired.append(1)
        return Says(lambda data: said)

    crew = Crew(OwnOffice(hire, 1))
    with pytest.raises(AnalysisError, match=f"{TRIES} workers in turn ended"):
        crew.ask(Asked("mosaic_scores", INFO, (), {}, ()), nothing)
    with pytest.raises(AnalysisError, match=f"{TRIES} workers in turn ended"):
        list(crew.map(Job("sweep", INFO), [()], nothing))
    crew.close()
    assert len(hired) == 2 * TRIES
    assert not (tmp_path / "trapped").exists()


def test_messages_are_exactly_their_bytes() -> None:
    whole = packed("piece", "job", (np.arange(3), Head(1, 2)))
    what, job, (numbers, head) = unpacked(whole)
    assert (what, job, head) == ("piece", "job", Head(1, 2))
    assert numbers.tolist() == [0, 1, 2]
    other = bytes([whole[40] ^ 1])
    for damaged in (whole[:-1], whole[:40] + other + whole[41:], pickle.dumps(("piece",)), b""):
        with pytest.raises(NotAMessage):
            unpacked(damaged)
    with pytest.raises(TypeError):
        packed(SimpleNamespace())
    stream = io.BytesIO()
    write_message(stream, whole)
    assert read_message(io.BytesIO(stream.getvalue())) == whole
    assert read_message(io.BytesIO(stream.getvalue()[:-1])) is None
    assert read_message(io.BytesIO(b"\xff" * 8)) is None


def test_weights_lie_in_the_pages_of_their_file(tmp_path: Path, with_mlp: HeadModel) -> None:
    file = tmp_path / "model.safetensors"
    weights = {
        name: each.detach().clone().contiguous() for name, each in state_dict(with_mlp).items()
    }
    left_out = next(iter(weights))
    save_file({**weights, left_out: weights[left_out] + 1}, file)
    kept = [parameter.data for parameter in with_mlp.bridge.parameters()]
    before = [each.clone() for each in kept]
    model = replace(with_mlp, info=replace(with_mlp.info, folder=tmp_path))
    try:
        mapped = map_weights(model)
        after = [parameter.data for parameter in with_mlp.bridge.parameters()]
        assert all(map(torch.equal, before, after))
        lines = Path("/proc/self/maps").read_text().splitlines()
        ranges = [
            tuple(int(end, 16) for end in line.split()[0].split("-"))
            for line in lines
            if line.endswith(str(file))
        ]
        there = [each for each in after if any(a <= each.data_ptr() < b for a, b in ranges)]
        assert sum(each.nbytes for each in there) == mapped > 0
        assert len(there) < len(after)  # the one whose numbers are others stays
    finally:
        for parameter, data in zip(with_mlp.bridge.parameters(), kept, strict=True):
            parameter.data = data


@pytest.mark.parametrize("text", ["-1", "two", str(MAX_WORKERS + 1), "1.5", "²"])
def test_a_number_of_workers_that_is_none_ends_the_start(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKERS, text)
    with pytest.raises(ConfigError, match=WORKERS):
        settings.__wrapped__()
    monkeypatch.setenv(WORKERS, "3")
    assert settings.__wrapped__().workers == 3


def test_without_workers_there_are_none() -> None:
    assert Server(Config()).engine is None
