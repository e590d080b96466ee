"""The simulation of deploy/scale.md against queues whose answer is known."""

import random

import numpy as np
import pytest

from bench.scale import Costs, Site, finished, room


def test_pages_that_are_asked_for_at_once_wait_for_each_other() -> None:
    assert finished([(0.0, 0.5)] * 4, Site(1, 1)).tolist() == [0.5, 1.0, 1.5, 2.0]
    assert finished([(0.0, 0.5)] * 4, Site(2, 2)).tolist() == [0.5, 0.5, 1.0, 1.0]
    # Two processes on one core are no quicker than one.
    assert finished([(0.0, 0.5)] * 4, Site(2, 1)).tolist() == [1.0, 1.0, 2.0, 2.0]


def test_the_mean_wait_of_random_visitors_is_that_of_pollaczek_and_khinchine() -> None:
    draw = random.Random(0)
    rate, page, at = 3.0, 0.2, 0.0
    arrivals = []
    for _ in range(200_000):
        at += draw.expovariate(rate)
        arrivals.append((at, page))
    busy = rate * page
    wait = busy * page / (2 * (1 - busy))  # of a queue with one server and equal services
    assert float(np.mean(finished(arrivals, Site(1, 1)))) == pytest.approx(page + wait, rel=0.02)


def test_a_room_ends_when_its_processes_have_drawn_all_pages() -> None:
    late = room(30, Costs(page=0.4, new=0.0), Site(1, 1)).max()
    assert late == pytest.approx(31 * 0.4, abs=0.1)
    half = room(30, Costs(page=0.4, new=0.0), Site(2, 2)).max()
    assert half == pytest.approx(15.5 * 0.4, abs=0.5)
