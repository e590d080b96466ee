"""The cache that all visitors share."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from app.compute.shared_cache import SharedCache, nbytes


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
    size = nbytes(Result(array, {"a": array}, (("x" * 100,),)))
    assert 80_100 <= size < 83_000
