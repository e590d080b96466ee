"""The cache that all visitors share."""

import gc
import threading
import time
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from analysis.effects.edges import Edge, EdgeAttribution, Reader
from analysis.head import Head
from app.compute.refusals import NoMemory, TryAgain
from app.compute.shared_cache import SharedCache, nbytes

pytestmark = pytest.mark.usefixtures("little_garbage")


def test_requests_that_are_alike_are_computed_once() -> None:
    cache, calls, release = SharedCache(100, lambda value: 1), [], threading.Event()

    def compute() -> int:
        calls.append(1)
        release.wait(5)
        return 7

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(cache.get, "key", compute) for _ in range(8)]
        while not calls:
            time.sleep(0.001)
        release.set()
        assert [answer.result(5) for answer in answers] == [7] * 8
    assert cache.get("key", compute) == 7
    assert len(calls) == 1


def test_a_visitor_who_leaves_does_not_take_the_answer_from_one_who_waits() -> None:
    """Streamlit ends a script by an exception that is not an Exception."""

    class Left(BaseException):
        pass

    cache, first_runs, second_waits = SharedCache(10, lambda value: 1), threading.Event(), []

    def leaves() -> int:
        first_runs.set()
        while not second_waits:
            time.sleep(0.001)
        time.sleep(0.02)
        raise Left

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "key", leaves)
        first_runs.wait(5)
        second_waits.append(True)
        second = pool.submit(cache.get, "key", lambda: 7)
        assert second.result(5) == 7
        with pytest.raises(Left):
            first.result(5)


def test_an_error_reaches_its_caller_and_is_not_remembered() -> None:
    cache = SharedCache(10, lambda value: 1)
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 // 0)
    assert cache.get("key", lambda: 7) == 7


def test_the_total_size_is_bounded_and_the_oldest_goes_first() -> None:
    cache, computed = SharedCache(10, size_of=len), []

    def compute(name: str) -> str:
        computed.append(name)
        return name * 4

    for name in ("a", "b", "a", "c", "a", "b"):
        cache.get(name, lambda name=name: compute(name))  # type: ignore[misc]
    assert computed == ["a", "b", "c", "b"]


def test_a_value_above_the_bound_is_returned_and_not_kept() -> None:
    cache, calls = SharedCache(10, size_of=len), []

    def compute() -> str:
        calls.append(1)
        return "x" * 11

    assert cache.get("key", compute) == cache.get("key", compute) == "x" * 11
    assert len(calls) == 2


def test_the_size_of_a_result_counts_the_arrays_it_holds() -> None:
    @dataclass(frozen=True)
    class Result:
        values: np.ndarray
        spread: dict[str, np.ndarray]
        labels: tuple[tuple[str, ...], ...]

    array = np.zeros((10, 1000), np.float32)
    size = nbytes(Result(array, {"a": array.copy()}, (("x" * 100,),)))
    assert 80_100 <= size < 83_000
    # Once, however often it is held; and a view keeps all of what it is a view of.
    assert nbytes((array, array, {"a": array})) < 41_000
    assert nbytes(array[:1]) > 40_000


def test_the_size_of_many_small_objects_is_what_they_take() -> None:
    """The edges of a model with 144 heads: once taken for 26 times their size, and never kept."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        edges = EdgeAttribution(
            tuple(
                Edge(Head(layer, head), Reader(11, head, "q"), float(layer * head))
                for layer in range(20)
                for head in range(500)
            ),
            clean_loss=1.0,
            method="zero",
            seed=0,
        )
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.8 < nbytes(edges) / taken < 1.3


def test_a_large_size_is_worked_out_while_others_go_on() -> None:
    sizing, go_on = threading.Event(), threading.Event()

    def size_of(value: str) -> int:
        if value == "large":
            sizing.set()
            assert go_on.wait(10)
        return 1

    cache = SharedCache(10, size_of)
    with ThreadPoolExecutor(2) as pool:
        large = pool.submit(cache.get, "large", lambda: "large")
        assert sizing.wait(10)
        assert pool.submit(cache.get, "small", lambda: "small").result(5) == "small"
        go_on.set()
        assert large.result(5) == "large"


def test_a_failure_is_computed_once_for_all_who_wait() -> None:
    cache, calls, waiting = SharedCache(100, lambda value: 1), [], set()

    def compute() -> int:
        calls.append(1)
        while len(waiting) < 29:
            time.sleep(0.001)
        raise ZeroDivisionError

    def look() -> None:
        waiting.add(threading.get_ident())

    with ThreadPoolExecutor(30) as pool:
        answers = [pool.submit(cache.get, "key", compute, look) for _ in range(30)]
        for answer in answers:
            with pytest.raises(ZeroDivisionError):
                answer.result(20)
    assert len(calls) == 1
    # Who asks later tries anew.
    assert cache.get("key", lambda: 7) == 7


def test_what_one_visitor_may_not_ask_another_may() -> None:
    cache, waits = SharedCache(100, lambda value: 1), threading.Event()

    def refused() -> int:
        assert waits.wait(10)
        raise TryAgain("More than 60 new results were asked for in a minute.")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "key", refused)
        second = pool.submit(cache.get, "key", lambda: 7, waits.set)
        assert second.result(10) == 7
        with pytest.raises(TryAgain):
            first.result(10)


def test_a_look_waits_for_nobody() -> None:
    cache, begun, go_on = SharedCache(100, lambda value: 1), threading.Event(), threading.Event()

    def compute() -> int:
        begun.set()
        go_on.wait(10)
        return 7

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(cache.get, "key", compute)
        assert begun.wait(10)
        assert cache.look("key") is None
        go_on.set()
        assert answer.result(10) == 7
    assert cache.look("key") == 7


def test_no_memory_is_found_out_once_for_all_who_wait_and_tried_again_later() -> None:
    cache, tries, waiting = SharedCache(10, lambda value: 1), [], threading.Semaphore(0)

    def compute() -> int:
        tries.append(1)
        for _ in range(4):
            assert waiting.acquire(timeout=10)
        raise NoMemory("none")

    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(cache.get, "key", compute, waiting.release) for _ in range(5)]
        assert all(isinstance(each.exception(20), NoMemory) for each in asked)
    assert len(tries) == 1
    assert cache.get("key", lambda: 7) == 7


def test_a_failure_lets_go_of_what_its_computation_worked_with() -> None:
    """A cycle held a model until the next collection; for good, if one was frozen meanwhile."""
    worked_with: list[weakref.ref[Any]] = []

    class Model: ...

    def fails() -> None:
        model = Model()
        worked_with.append(weakref.ref(model))
        raise ValueError(model)

    cache: SharedCache = SharedCache(4, size_of=lambda value: 1)
    gc.disable()
    try:
        with suppress(ValueError):
            cache.get("key", fails)
        assert worked_with[0]() is None
    finally:
        gc.enable()
