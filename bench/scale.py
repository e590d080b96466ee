"""How many machines: a model of cost from measured constants, and a simulation checked by runs.

    python -m bench.scale                    # what the constants of deploy/scale.md give
    python -m bench.scale --page .3          # with another cost of a page
    [REPLICAS=2] python -m bench.scale --check [--followers 10]

A process draws one page after the other, since Python runs one thread at a time: pages wait in
line for their process, and processes for a core. Followers of a room ask within one period of their
question; visitors open a page every ten to twenty seconds. The numbers of a view that several see
are computed once. The simulation goes through the pages and the free moments of each process.

`--check` runs a room as `bench.rooms` does, takes the processor time of a page and the share of the
machine that the processes got from that run, and compares when pages were finished with what the
simulation says: the median and the 95th percentile have to be within a half of each other.
"""

from __future__ import annotations

import argparse
import heapq
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

# Seconds between two questions of a follower, and between two pages of a visitor.
ASKED_EVERY, PAGE_EVERY = 0.8, (10.0, 20.0)
WITHIN = 0.5
GIB = 2**30


@dataclass(frozen=True)
class Costs:
    """What was measured, or taken high; deploy/scale.md says which, and by which command.

    Args:
        page: Seconds of one core to run a page whose numbers are known.
        new: Seconds of one core for the numbers of a new view, of a bundled model.
        fresh: Share of pages whose view nobody has seen.
        process: Bytes of a process with the bundled models.
        session: Bytes of a visitor's session.
        worker: Bytes of a worker beside the weights.
        message: Seconds of a piece's message there and back.
    """

    page: float = 0.18
    new: float = 0.3
    fresh: float = 0.5
    process: int = 900 * 2**20
    session: int = 2 * 2**20
    worker: int = 400 * 2**20
    message: float = 0.002


@dataclass(frozen=True)
class Site:
    """What serves: so many processes, on machines of so many cores in all."""

    processes: int
    cores: float


def finished(arrivals: Sequence[tuple[float, float]], site: Site) -> np.ndarray:
    """Seconds from asking to the end of each page, first come first served in each process.

    Args:
        arrivals: When each page is asked for and the seconds of a core that it takes; visitors are
            spread over the processes in turn.
        site: What serves.
    """
    # With fewer cores than processes each runs slower.
    pace = min(1.0, site.cores / site.processes)
    free = [0.0] * site.processes
    found = []
    for number, (asked, seconds) in enumerate(sorted(arrivals)):
        at = number % site.processes
        free[at] = max(asked, free[at]) + seconds / pace
        found.append(free[at] - asked)
    return np.array(found)


def room(followers: int, costs: Costs, site: Site, seed: int = 0) -> np.ndarray:
    """Seconds from the presenter's move to the end of each follower's page."""
    draw = random.Random(seed)
    arrivals = [(draw.uniform(0, ASKED_EVERY), costs.page) for _ in range(followers)]
    # The presenter's own page first, with the numbers that all others then see.
    arrivals.append((0.0, costs.page + costs.new))
    asked = sorted(arrivals)
    return np.array([each + at for each, (at, _) in zip(finished(asked, site), asked, strict=True)])


def visits(visitors: int, seconds: float, costs: Costs, site: Site, seed: int = 0) -> np.ndarray:
    """Seconds that each page takes of visitors who open one every ten to twenty seconds."""
    draw = random.Random(seed)
    next_at = [(draw.uniform(0, PAGE_EVERY[1]), who) for who in range(visitors)]
    heapq.heapify(next_at)
    arrivals = []
    while next_at[0][0] < seconds:
        at, who = heapq.heappop(next_at)
        arrivals.append((at, costs.page + costs.new * (draw.random() < costs.fresh)))
        heapq.heappush(next_at, (at + draw.uniform(*PAGE_EVERY), who))
    return finished(arrivals, site)


def processes_for(visitors: int, costs: Costs, most: float) -> int:
    """The fewest processes, a core each, with which 95 of 100 pages take at most so long."""
    low, high = 1, 1
    while float(np.percentile(visits(visitors, 120, costs, Site(high, high)), 95)) > most:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        site = Site(middle, middle)
        late = float(np.percentile(visits(visitors, 120, costs, site), 95))
        low, high = (low, middle) if late <= most else (middle, high)
    return high


def plan(costs: Costs) -> None:
    """Print what the constants give for a class, a launch and many models."""
    print("a room: p50 and p95 of pages finished after a move, in seconds")
    for followers in (30, 300):
        for count in (1, 2, 4, 8, 16):
            middle, late = np.percentile(room(followers, costs, Site(count, count)), [50, 95])
            print(f"  {followers:4} followers, {count:2} processes: {middle:5.1f} {late:6.1f}")
    print("visitors at once with p95 of a page within 2 s: processes with a core each, memory")
    for visitors in (50, 300, 1_000, 10_000):
        count = processes_for(visitors, costs, 2.0)
        size = count * costs.process + visitors * costs.session
        print(f"  {visitors:6} visitors: {count:4} processes, {size / GIB:6.1f} GiB")


def check(followers: int, moves: int, costs: Costs) -> int:
    """Compare the simulation with a room that is run now."""
    from bench.rooms import hold
    from bench.visitors import replicas

    count = replicas()
    lesson, _, seconds, wall = hold(count, followers, moves)
    # Of all pages of the moves, the presenter's among them; the clients share the machine.
    page = seconds / (moves * (followers + 1))
    got = seconds / wall
    site = Site(count, min(got, count))
    found = np.concatenate(
        [
            room(followers, replace(costs, page=page, new=0.0), site, seed)[1:]
            for seed in range(moves)
        ]
    )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{count} processes, {followers} followers, load {load}")
    print(f"  a page took {page:.3f} s of a core; the processes got {got:.2f} cores")
    held = True
    for name, share in (("median", 50), ("p95", 95)):
        said, was = (float(np.percentile(each, share)) for each in (found, lesson.finished))
        near = abs(said - was) <= WITHIN * max(said, was)
        held = held and near
        print(
            f"{'holds' if near else 'FAILS'}  {name}: {said:.2f} s simulated, {was:.2f} s measured"
        )
    return 0 if held else 1


def main(arguments: list[str]) -> int:
    """Print the plan, or check the simulation."""
    asked = argparse.ArgumentParser(prog="python -m bench.scale")
    asked.add_argument("--page", type=float, default=Costs.page)
    asked.add_argument("--new", type=float, default=Costs.new)
    asked.add_argument("--check", action="store_true")
    asked.add_argument("--followers", type=int, default=10)
    asked.add_argument("--moves", type=int, default=4)
    chosen = asked.parse_args(arguments)
    costs = Costs(page=chosen.page, new=chosen.new)
    if chosen.check:
        return check(chosen.followers, chosen.moves, costs)
    plan(costs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
