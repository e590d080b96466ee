"""Scores of whole models: those that we ship, what is trusted on disk, and who is computed."""

import time
from pathlib import Path

import numpy as np
import pytest

from analysis.definitions import SCORE_NAMES
from analysis.heads.mosaic import mosaic_scores
from analysis.limits import mosaic_size
from analysis.models.catalog import list_models
from analysis.models.loading import load_model
from app.compute import mosaic_scores as mosaic_store
from app.compute.mosaic_scores import SHIPPED, ModelScores, Mosaic, read, write

INFOS = list_models()[:2]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is shipped and nothing kept yet."""
    monkeypatch.setattr(mosaic_store, "SHIPPED", tmp_path / "none")
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path))
    return tmp_path / "mosaic"


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_the_shipped_scores_are_what_the_model_gives(info) -> None:
    shipped, now = read(info), mosaic_scores(load_model(info.name))
    assert shipped
    measured = [name for name in SCORE_NAMES if not np.isnan(shipped.scores[name]).all()]
    assert {"previous", "induction", "entropy"} <= set(measured)
    for name in measured:
        np.testing.assert_allclose(shipped.scores[name], now[name], atol=1e-5)
        assert shipped.chance[name] == pytest.approx(now.chance[name], abs=1e-6)


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("damage", [truncated, lambda data: b"", lambda data: b"PK" * 99])
def test_a_damaged_file_is_computed_anew(cache: Path, damage) -> None:
    info = INFOS[0]
    good = ModelScores(
        {name: np.full((info.n_layers, info.n_heads), 0.5, np.float32) for name in SCORE_NAMES},
        dict.fromkeys(SCORE_NAMES, 0.1),
    )
    write(info, good, cache)
    (file,) = cache.iterdir()
    assert read(info)
    file.write_bytes(damage(file.read_bytes()))
    assert read(info) is None
    mosaic = Mosaic(lambda info: good)
    wait_for(lambda: isinstance(mosaic.watch([info])[info.name], ModelScores))
    wait_for(lambda: read(info) is not None)
    assert [kept.name for kept in cache.iterdir()] == [file.name]


def test_a_changed_byte_never_changes_a_score(cache: Path) -> None:
    info = INFOS[0]
    shipped = read_shipped(info)
    write(info, shipped, cache)
    (file,) = cache.iterdir()
    data, refused = file.read_bytes(), 0
    for place in range(0, len(data), 7):
        file.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
        found = read(info)
        refused += found is None
        for name in SCORE_NAMES if found else ():
            np.testing.assert_array_equal(found.scores[name], shipped.scores[name])
    assert refused > 50


def test_a_score_that_is_newer_is_not_measured_where_shipped_and_computed_where_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = INFOS[0]
    full = read_shipped(info)
    older = ModelScores(
        {name: values for name, values in full.scores.items() if name != "first"}, full.chance
    )
    write(info, older, cache)
    assert read(info) is None
    monkeypatch.setattr(mosaic_store, "SHIPPED", cache)
    found = read(info)
    assert found
    assert np.isnan(found.scores["first"]).all()
    assert np.isnan(found.chance["first"])
    np.testing.assert_array_equal(found.scores["previous"], full.scores["previous"])


def test_scores_of_another_shape_are_not_trusted(cache: Path) -> None:
    info, other = INFOS
    write(info, read_shipped(other), cache)
    assert read(info) is None


def read_shipped(info) -> ModelScores:
    shape = (info.n_layers, info.n_heads)
    return ModelScores(
        {name: np.zeros(shape, np.float32) for name in SCORE_NAMES}, dict.fromkeys(SCORE_NAMES, 0.0)
    )


def test_models_are_computed_one_at_a_time_and_a_failure_is_a_sentence(cache: Path) -> None:
    running: list[str] = []
    most = 0

    def compute(info) -> ModelScores:
        nonlocal most
        running.append(info.name)
        most = max(most, len(running))
        time.sleep(0.05)
        running.remove(info.name)
        if info is INFOS[1]:
            raise RuntimeError("secret detail")
        return read_shipped(info)

    mosaic = Mosaic(compute)
    assert set(mosaic.watch(INFOS).values()) == {None}
    wait_for(lambda: None not in mosaic.watch(INFOS).values())
    known = mosaic.watch(INFOS)
    assert isinstance(known[INFOS[0].name], ModelScores)
    assert known[INFOS[1].name] == f"The scores of {INFOS[1].name} could not be computed."
    assert most == 1


def test_without_anybody_who_looks_no_further_model_is_begun(cache: Path) -> None:
    begun: list[str] = []

    def compute(info) -> ModelScores:
        begun.append(info.name)
        time.sleep(0.2)
        return read_shipped(info)

    mosaic = Mosaic(compute, patience=0.1)
    mosaic.watch(INFOS)
    wait_for(lambda: not mosaic._working)
    assert len(begun) == 1


def test_large_models_get_fewer_sequences() -> None:
    assert mosaic_size(2, 8, 512) == (50, 10)
    assert mosaic_size(12, 12, 512) == (50, 10)
    half, batch = mosaic_size(48, 25, 512)
    assert (half, batch) == (50, 2)
    assert mosaic_size(2, 8, 64)[0] == 31


def test_the_shipped_files_are_small() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 50_000


def wait_for(condition) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
