"""Sweeps in the background, by fake heads that take no time until they are let go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.effects.ablation import HeadAblation, ablate_each, ablation_sweep
from analysis.effects.estimate import ablation_estimate
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.runs.inputs import tokenize
from app.compute import background as background_module
from app.compute.refusals import TryAgain
from app.compute.sweeps import SharedSweep, Snapshot, Sweeps, SweepWork
from tests.conftest import make_model
from tests.unit.test_forward import hooks_on

HEADS = tuple(Head(layer, head) for layer in (1, 0) for head in range(3))
LONG = 60.0
# Seconds that a test waits for what must happen.
DEADLINE = 10.0


@pytest.fixture(autouse=True)
def no_work_is_left() -> Iterator[None]:
    """A worker ends with its test: later its log would stand in the middle of another one."""
    before = set(threading.enumerate())
    yield
    until(lambda: not [t for t in set(threading.enumerate()) - before if t.name == "sweep"])


class Work:
    """Heads whose effects come when they are let go; knows how often it was begun and closed."""

    def __init__(self) -> None:
        self.begun: list[tuple[Head, ...]] = []
        self.closed = 0
        self.allowed = threading.Semaphore(0)

    def let_go(self, pieces: int) -> None:
        """Let so many more pieces be done."""
        for _ in range(pieces):
            self.allowed.release()

    def ablate_each(
        self, heads: Sequence[Head], pause: Callable[[], None]
    ) -> Generator[HeadAblation, None, None]:
        """What a sweep runs; a head of layer 0 takes two pieces."""
        self.begun.append(tuple(heads))
        try:
            for head in heads:
                assert self.allowed.acquire(timeout=3 * DEADLINE)
                if head.layer == 0:
                    pause()
                    assert self.allowed.acquire(timeout=3 * DEADLINE)
                value = float(10 * head.layer + head.head)
                yield HeadAblation(head, value, np.array([value], np.float32), 1.0, "zero")
        finally:
            self.closed += 1


def shared(sweeps: Sweeps, work: Work, key: str = "key") -> SharedSweep:
    return SharedSweep(sweeps, key, SweepWork(lambda: HEADS, work.ablate_each, share))


def share(head: Head) -> int:
    """As many pieces as a head of `Work` has."""
    return 2 - head.layer


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def found(snapshot: Snapshot) -> list[Head]:
    return list(snapshot.found)


def test_values_come_in_the_order_asked_for_and_stay() -> None:
    work = Work()
    sweep = shared(Sweeps(1, 4, LONG), work)
    assert sweep.watch("a").state == "waiting"
    work.let_go(2)
    until(lambda: len(sweep.look().found) == 2)
    now = sweep.look()
    assert (now.state, found(now), now.total) == ("running", list(HEADS[:2]), 6)
    assert now.seconds_left is not None
    work.let_go(7)
    until(lambda: sweep.look().state == "done")
    assert found(sweep.watch("b")) == list(HEADS)
    assert work.begun == [HEADS]
    info: Any = type("Info", (), {"n_layers": 2, "n_heads": 3})
    np.testing.assert_array_equal(sweep.look().values(info), [[0, 1, 2], [10, 11, 12]])


def test_a_cancel_is_heard_in_the_middle_of_a_head() -> None:
    work = Work()
    sweep = shared(Sweeps(1, 4, LONG), work)
    sweep.watch("a")
    work.let_go(3)
    until(lambda: len(sweep.look().found) == 3)
    sweep.leave("a")
    work.let_go(1)  # half of the fourth
    until(lambda: sweep.look().state == "stopped")
    assert found(sweep.look()) == list(HEADS[:3])
    assert sweep.look().failure is None
    assert work.closed == 1


def test_the_remaining_time_counts_work_and_not_heads_and_outlives_a_cancel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr(
        background_module, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=time.sleep)
    )
    work = Work()
    sweep = shared(Sweeps(1, 4, 1e6), work)
    sweep.watch("a")
    until(lambda: work.begun)
    assert sweep.look().seconds_left is None  # nothing to tell it from
    for heads in (1, 2, 3):  # two seconds each
        clock[0] += 2
        work.let_go(1)
        until(lambda heads=heads: len(sweep.look().found) == heads)
    # Three heads of two pieces are left, at two seconds a piece.
    assert sweep.look().seconds_left == pytest.approx(12)
    clock[0] += 3  # and while nothing new is known, it goes down
    assert sweep.look().seconds_left == pytest.approx(9)
    sweep.leave("a")
    work.let_go(1)
    until(lambda: sweep.look().state == "stopped")
    assert sweep.look().seconds_left is None
    clock[0] += 1000  # the visitor thinks
    sweep.watch("a")
    until(lambda: len(work.begun) == 2)
    assert sweep.look().seconds_left == pytest.approx(12)
    work.let_go(9)
    until(lambda: sweep.look().state == "done")


def test_two_who_ask_for_the_same_watch_one_sweep_and_the_last_to_leave_ends_it() -> None:
    work = Work()
    sweeps = Sweeps(1, 4, LONG)
    first, second = shared(sweeps, work), shared(sweeps, work)
    first.watch("a")
    second.watch("b")
    work.let_go(1)
    until(lambda: len(second.look().found) == 1)
    first.leave("a")
    work.let_go(1)
    until(lambda: len(second.look().found) == 2)
    assert second.look().state == "running"
    second.leave("b")
    work.let_go(1)
    until(lambda: second.look().state == "stopped")
    assert work.closed == len(work.begun) == 1
    # What was found is kept, and the next visitor goes on from there.
    first.watch("c")
    work.let_go(6)
    until(lambda: first.look().state == "done")
    assert work.begun == [HEADS, HEADS[3:]]


def test_a_visitor_who_no_longer_looks_counts_as_gone() -> None:
    work = Work()
    sweep = shared(Sweeps(1, 4, patience=0.05), work)
    sweep.watch("closed tab")
    until(lambda: work.begun)
    time.sleep(0.1)
    work.let_go(1)
    until(lambda: sweep.look().state == "stopped")
    assert work.closed == 1


def test_who_comes_while_the_work_is_being_stopped_is_served() -> None:
    work = Work()
    sweep = shared(Sweeps(1, 4, LONG), work)
    sweep.watch("a")
    until(lambda: work.begun)
    sweep.leave("a")
    sweep.watch("b")
    work.let_go(9)
    until(lambda: sweep.look().state == "done")


def test_no_more_run_at_once_than_there_are_workers() -> None:
    sweeps, works = Sweeps(1, 4, LONG), [Work(), Work(), Work()]
    first, second, third = (shared(sweeps, work, str(i)) for i, work in enumerate(works))
    for sweep in (first, second, third):
        sweep.watch("a")
    until(lambda: works[0].begun)
    time.sleep(0.02)
    assert second.look().state == third.look().state == "waiting"
    assert not works[1].begun
    second.leave("a")  # before its turn: it never begins
    works[0].let_go(9)
    works[2].let_go(9)
    until(lambda: third.look().state == "done")
    assert not works[1].begun
    assert second.look().state == "stopped"


def test_what_is_kept_is_bounded_and_what_runs_is_not_dropped() -> None:
    sweeps, work = Sweeps(2, 2, LONG), Work()
    work.let_go(9)
    old = shared(sweeps, work, "old")
    old.watch("a")
    until(lambda: old.look().state == "done")
    busy = [Work(), Work()]
    for i, each in enumerate(busy):
        shared(sweeps, each, f"busy {i}").watch("a")
    assert not old.look().found
    with pytest.raises(AnalysisError, match="Try again"):
        old.watch("a")
    for each in busy:
        each.let_go(9)
    until(
        lambda: all(
            shared(sweeps, w, f"busy {i}").look().state == "done" for i, w in enumerate(busy)
        )
    )
    old.watch("a")
    work.let_go(9)
    until(lambda: old.look().state == "done")


def test_a_failure_reaches_who_watches_and_the_next_try_is_a_new_one() -> None:
    sweeps, outcomes = Sweeps(1, 4, LONG), [RuntimeError("broken"), None]

    def ablate(heads: Sequence[Head], pause: object) -> Generator[HeadAblation, None, None]:
        if failure := outcomes.pop(0):
            raise failure
        yield from (HeadAblation(h, 1.0, np.ones(1, np.float32), 1.0, "zero") for h in heads)

    sweep = SharedSweep(sweeps, "key", SweepWork(lambda: HEADS, ablate, share))
    with pytest.raises(RuntimeError, match="broken"):
        sweep.wait(lambda done, total: None)
    assert sweep.wait(lambda done, total: None).state == "done"


def test_who_waits_hears_of_every_step_and_may_leave() -> None:
    class Left(BaseException):
        """As Streamlit ends a script."""

    work = Work()
    sweep = shared(Sweeps(1, 4, LONG), work)
    work.let_go(2)

    def progress(done: int, total: int) -> None:
        assert total == 6
        if done == 2:
            raise Left

    with pytest.raises(Left):
        sweep.wait(progress)
    work.let_go(1)
    until(lambda: sweep.look().state == "stopped")
    work.let_go(9)
    assert len(sweep.wait(lambda done, total: None).found) == 6


def test_a_sweep_that_is_left_frees_the_model_and_what_it_found_is_exact() -> None:
    model = make_model(n_layers=3)
    tokens = tokenize(model, "The cat sat on the mat, and the cat slept.")
    exact, hooks = ablation_sweep(model, tokens), hooks_on(model)
    estimate = ablation_estimate(model, tokens)
    step = threading.Semaphore(0)

    def slowly(heads: Sequence[Head], pause: object) -> Generator[HeadAblation, None, None]:
        for effect in ablate_each(model, tokens, heads):
            yield effect
            step.acquire(timeout=3 * DEADLINE)

    work = SweepWork(lambda: estimate.order, slowly, share)
    sweep = SharedSweep(Sweeps(1, 4, LONG), "key", work)
    sweep.watch("a")
    step.release()
    until(lambda: len(sweep.look().found) == 2)
    sweep.leave("a")
    step.release()
    until(lambda: sweep.look().state == "stopped")
    assert not model.lock.locked()
    assert hooks_on(model) == hooks
    now = sweep.look()
    assert found(now) == list(estimate.order[: len(now.found)])
    for head, effect in now.found.items():
        assert effect.value == pytest.approx(exact.values[head.layer, head.head], abs=1e-6)


def test_a_sweep_gives_way_to_one_of_an_address_that_has_used_less() -> None:
    """31 sweeps of one visitor, minutes each, stood before the first of another."""
    sweeps = Sweeps(1, 8, LONG, piece=0.0)
    greedy, other = Work(), Work()
    first, second = (shared(sweeps, greedy, key) for key in ("one", "two"))
    third = shared(sweeps, other, "three")
    first.watch("a", "192.0.2.1")
    until(lambda: greedy.begun)
    second.watch("b", "192.0.2.1")
    greedy.let_go(1)
    until(lambda: len(first.look().found) == 1)
    third.watch("c", "192.0.2.2")
    greedy.let_go(1)
    until(lambda: other.begun)
    # What was found is kept, and its watchers still wait for the rest.
    assert (len(first.look().found), first.look().state) == (2, "waiting")
    pieces = sum(map(share, HEADS))
    other.let_go(pieces)
    greedy.let_go(2 * pieces - 2)
    for sweep in (first, second, third):
        until(lambda sweep=sweep: sweep.look().state == "done")  # type: ignore[misc]
        assert sweep.look().found.keys() == set(HEADS)
    # No head was ablated twice.
    assert not greedy.allowed.acquire(blocking=False)


def test_a_sweep_whose_visitors_have_left_by_its_next_step_is_stopped_and_has_not_failed() -> None:
    work = Work()
    sweep = shared(Sweeps(1, 8, LONG, piece=0.0), work)
    sweep.watch("a", "192.0.2.1")
    until(lambda: work.begun)
    sweep.leave("a")
    work.let_go(1)
    until(lambda: not sweep.look().active)
    assert (sweep.look().state, sweep.look().failure) == ("stopped", None)


def test_a_sweep_alone_is_not_interrupted() -> None:
    sweeps, work = Sweeps(1, 8, LONG, piece=0.0), Work()
    work.let_go(sum(map(share, HEADS)))
    sweep = shared(sweeps, work)
    sweep.watch("a", "192.0.2.1")
    until(lambda: sweep.look().state == "done")
    assert work.begun == [HEADS]


def test_one_address_leaves_half_of_the_sweeps_to_others() -> None:
    """32 sweeps of one visitor, and everybody else was refused."""
    sweeps, work, refused = Sweeps(1, 8, LONG), Work(), 0
    for number in range(20):
        try:
            shared(sweeps, work, f"mine {number}").watch(number, "192.0.2.1")
        except TryAgain as refusal:
            assert "4 sweeps are under way for your network address" in str(refusal)
            refused += 1
    assert refused == 16
    other = shared(sweeps, work, "other")
    other.watch("other", "192.0.2.2")
    work.let_go(80)
    until(lambda: other.look().state == "done")


def test_sweeps_that_were_left_and_go_on_count_as_new_ones_do() -> None:
    """Half at a time was begun and left; then all of them went on, and nobody else had a place."""
    sweeps, work, refused = Sweeps(1, 8, LONG), Work(), 0
    mine = [shared(sweeps, work, f"mine {number}") for number in range(8)]
    for half in (mine[:4], mine[4:]):
        for sweep in half:
            sweep.watch("me", "192.0.2.1")
        for sweep in half:
            sweep.leave("me")
        work.let_go(1)
        until(lambda half=half: all(sweep.look().state == "stopped" for sweep in half))
    for sweep in mine:
        try:
            sweep.watch("me", "192.0.2.1")
        except TryAgain:
            refused += 1
    assert refused == 4
    other = shared(sweeps, work, "other")
    other.watch("other", "192.0.2.2")
    work.let_go(80)
    until(lambda: other.look().state == "done")
