"""The same question to many models: who is computed, who is tried again, and what is kept."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis.errors import AnalysisError
from analysis.limits import mosaic_size
from analysis.models.catalog import list_models
from app.compute.one_by_one import OneByOne
from app.compute.refusals import TryAgain

INFOS = list_models()[:2]
FIRST, SECOND = (info.name for info in INFOS)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Work:
    """Models that are found by name; `outcomes` says what happens instead, one after the other."""

    def __init__(self, **outcomes: list[BaseException]):
        self.outcomes = {name.replace("_", "-"): list(each) for name, each in outcomes.items()}
        self.begun: list[str] = []
        self.found: dict[str, str] = {}
        self.running = self.most = 0
        self.seconds = 0.0

    def compute(self, info) -> None:
        """What the background does."""
        self.begun.append(info.name)
        self.running += 1
        self.most = max(self.most, self.running)
        time.sleep(self.seconds)
        self.running -= 1
        if failures := self.outcomes.get(info.name):
            raise failures.pop(0)
        self.found[info.name] = f"scores of {info.name}"

    def watch(self, models: OneByOne, infos=INFOS) -> dict:
        """A look of a page."""
        return models.watch(infos, lambda info: self.found.get(info.name), self.compute)


@pytest.fixture
def models() -> Iterator[OneByOne]:
    """Ends with its test: later its log would stand in the middle of another one."""
    models = OneByOne("the scores", patience=1.0, pause=0.01)
    yield models
    until(lambda: not models._working)


def test_models_are_computed_one_at_a_time_and_a_failure_is_a_sentence(models: OneByOne) -> None:
    work = Work(gelu_4l=[RuntimeError("secret detail")])
    work.seconds = 0.05
    assert set(work.watch(models).values()) == {None}
    until(lambda: None not in work.watch(models).values())
    assert work.watch(models) == {
        FIRST: f"scores of {FIRST}",
        SECOND: f"The scores of {SECOND} could not be computed.",
    }
    assert work.most == 1
    assert work.begun == [FIRST, SECOND]


def test_a_refusal_that_holds_for_a_while_is_tried_again_and_holds_up_nobody(
    models: OneByOne,
) -> None:
    busy = TryAgain("There is no memory for it. Try again in a minute.")
    work = Work(attn_only_2l=[busy, busy, busy])
    work.watch(models)
    until(lambda: None not in work.watch(models).values())
    assert work.found.keys() == {FIRST, SECOND}
    assert work.begun == [FIRST, SECOND, FIRST, FIRST, FIRST]


def test_a_refusal_that_stays_is_kept_as_its_sentence(models: OneByOne) -> None:
    work = Work(attn_only_2l=[AnalysisError("The weights are damaged.")])
    work.watch(models)
    until(lambda: None not in work.watch(models).values())
    assert work.watch(models)[FIRST] == "The weights are damaged."
    assert work.begun == [FIRST, SECOND]


def test_two_pages_are_both_served(models: OneByOne) -> None:
    work = Work()
    work.seconds = 0.2
    work.watch(models, INFOS[:1])
    work.watch(models, INFOS[1:])
    until(lambda: work.found.keys() == {FIRST, SECOND})
    assert work.begun == [FIRST, SECOND]


def test_without_anybody_who_looks_no_further_model_is_begun() -> None:
    models, work = OneByOne("the scores", patience=0.1), Work()
    work.seconds = 0.3
    work.watch(models)
    until(lambda: not models._working)
    assert work.begun == [FIRST]


def test_large_models_get_fewer_sequences() -> None:
    assert mosaic_size(2, 8, 512) == (50, 10)
    assert mosaic_size(12, 12, 512) == (50, 10)
    half, batch = mosaic_size(48, 25, 512)
    assert (half, batch) == (50, 2)
    assert mosaic_size(2, 8, 64)[0] == 31


def test_the_mosaic_of_the_bundled_models_needs_neither_torch_nor_a_computation() -> None:
    code = (
        "import sys, threading\n"
        "from app.compute import calls, shipped\n"
        "known = calls.mosaic(list(shipped.bundled_models()))\n"
        "assert len(known) == 2 and {type(each).__name__ for each in known.values()} == "
        "{'HeadScores'}, known\n"
        "assert threading.active_count() == 1\n"
        "assert not {'torch', 'transformers', 'transformer_lens'} & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True, timeout=240
    )
