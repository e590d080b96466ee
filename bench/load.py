"""Fifty visitors at once: how long pages take, and whether anybody sees another's numbers.

Claim: with 50 visitors on 2 cores and the bundled model, 95 of 100 pages are finished within 2 s of
being asked for, none fails, every element is the one that a lone visitor gets, and memory stays
below 2 GB and is back within 5 % after 500 visits.

    [REPLICAS=2] python -m bench.load [--quick]
    python -m bench.load --pages [--baseline REV]

Real websocket sessions (`bench.visitors`), the public settings of `deploy/public.toml` less its
folder and with a cache that one round of visits fills, so that memory can only grow by what leaks;
every core of the machine for server and visitors together. Each visitor opens ten pages, as
people do: one every 10 to 20 s, of six kinds, on a prompt or repeated tokens; half of the views are
ones that somebody else opens too. `--quick`: 10 visitors, three pages each, 1 to 2 s apart. The
drawing in the browser is not in these times.

With REPLICAS=2 two processes serve behind the proxy of `make cluster`.

`--pages` measures something else: what a page costs the server, in processor time, when one
visitor moves between views that are remembered, here and at a baseline (`bench.pages`).
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from bench import pages
from bench.visitors import ROOT, Page, free_port, replicas, served_by, visit

# How often each kind of page is opened.
PAGES = {"": 1, "attention": 4, "tokens": 3, "induction": 3, "attribution": 2, "head": 2}
TEXT = "the old house by a sea and her father told Alice one story about every little girl"
SHARED_VIEWS = 12
# Streamlit keeps the session of a tab that was closed for two minutes.
SESSION_KEPT = 130.0
CACHE = 32  # MiB of results kept
MAX_SECONDS, MAX_MEMORY, MAX_GROWTH = 2.0, 2 * 2**30, 1.05


@dataclass(frozen=True)
class View:
    """A page and its link."""

    page: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """Size of a run."""

    visitors: int
    pages_each: int
    think: tuple[float, float]  # seconds between two pages of one visitor


FULL, QUICK = Plan(50, 10, (10, 20)), Plan(10, 3, (1, 2))


def new_view(draw: random.Random) -> View:
    """A view that nobody else opens."""
    page = draw.choices(list(PAGES), list(PAGES.values()))[0]
    if draw.random() < 0.3:
        return View(page, {"input": "repeated", "seed": str(draw.randrange(10**6))})
    prompt = " ".join(draw.choices(TEXT.split(), k=draw.randint(12, 40)))
    return View(page, {"input": "prompt", "prompt": prompt})


def schedule(plan: Plan, seed: int) -> list[list[View]]:
    """The views of every visitor; half of them are shared."""
    draw = random.Random(seed)
    shared = [new_view(draw) for _ in range(SHARED_VIEWS)]
    return [
        [draw.choice(shared) if draw.random() < 0.5 else new_view(draw) for _ in range(n)]
        for n in [plan.pages_each] * plan.visitors
    ]


def visits(address: str, views: list[View], plan: Plan, seed: int) -> list[Page]:
    """One visitor's pages, with time to think before each."""
    draw = random.Random(seed)
    found: list[Page] = []
    with visit(address) as visitor:
        for view in views:
            time.sleep(draw.uniform(*plan.think) * (draw.random() if not found else 1))
            found.append(visitor.open(view.page, view.query))
    return found


def serial(address: str, planned: list[list[View]]) -> list[Page]:
    """The same pages, one visitor after the other: what a session has seen is part of a page."""
    found = []
    for views in planned:
        with visit(address) as visitor:
            found += [visitor.open(view.page, view.query) for view in views]
    return found


def processor_time(*pids: int) -> float:
    """Seconds of processor that the server's processes have taken."""
    taken = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(each.user + each.system for each in taken))


def memory(*pids: int) -> int:
    """Resident bytes of the server's processes together."""
    return sum(int(psutil.Process(pid).memory_info().rss) for pid in pids)


class Peak:
    """The most memory that processes had together, looked at four times a second."""

    def __init__(self, *pids: int):
        self.bytes, self._pids, self._stop = 0, pids, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            self.bytes = max(self.bytes, memory(*self._pids))

    def end(self) -> int:
        """Look no more; the peak."""
        self._stop.set()
        self._thread.join()
        return self.bytes


def main(plan: Plan) -> int:
    """Print the table, and whether each part of the claim holds."""
    planned, count = schedule(plan, seed=0), replicas()
    views = [view for mine in planned for view in mine]
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "public.toml"
        public = (ROOT / "deploy" / "public.toml").read_text(encoding="utf-8")
        public = public.replace('cache_folder = "/cache"', "")
        smaller = public.replace("cache_mb = 128", f"cache_mb = {CACHE}")
        settings.write_text(smaller, encoding="utf-8")
        environment = {"HEADSCOPE_CONFIG": str(settings)}
        print("alone, one page after the other ...", flush=True)
        port = free_port()  # the same for both: pages show links to themselves
        with served_by(count, port, environment) as (address, _):
            alone = serial(address, planned)
        print(f"{plan.visitors} visitors at once ...", flush=True)
        with served_by(count, port, environment) as (address, pids):
            # Loaded, and its caches as full as a round of other views makes them: what is bounded
            # and fills up once is no growth.
            serial(address, schedule(plan, seed=1))
            time.sleep(SESSION_KEPT)
            before, peak = memory(*pids), Peak(*pids)
            taken = processor_time(*pids)
            with ThreadPoolExecutor(plan.visitors) as pool:
                jobs = [
                    pool.submit(visits, address, mine, plan, seed)
                    for seed, mine in enumerate(planned)
                ]
                together = [page for job in jobs for page in job.result()]
            taken = processor_time(*pids) - taken
            highest = peak.end()
            time.sleep(SESSION_KEPT)
            after = memory(*pids)
    seconds = np.array([page.seconds for page in together])
    for kind in PAGES:
        of_kind = seconds[[view.page == kind for view in views]]
        if of_kind.size:
            p50, p95 = np.percentile(of_kind, [50, 95])
            print(f"  /{kind:12s} {of_kind.size:4d} visits, median {p50:.2f} s, p95 {p95:.2f} s")
    print(f"  processor time of the server: {1000 * taken / len(together):.0f} ms a page")
    pairs = zip(views, together, alone, strict=True)
    # With the kinds of what differs; none: the same elements in another order.
    differing = [
        (view, {element.split()[0] for element in set(one.elements) ^ set(other.elements)})
        for view, one, other in pairs
        if one.elements != other.elements
    ]
    alerts = [alert for page in together for alert in page.alerts]
    p95 = float(np.percentile(seconds, 95))
    held = {
        f"p95 of {len(seconds)} pages {p95:.2f} s (at most {MAX_SECONDS:g})": p95 <= MAX_SECONDS,
        f"{len(alerts)} pages with an error or a refusal: {sorted(set(alerts))[:2]}": not alerts,
        f"{len(differing)} pages that are not as they are alone: {differing[:2]}": not differing,
        f"peak memory {highest / 2**20:,.0f} MiB of {count} (at most 2,048 each)": (
            highest <= count * MAX_MEMORY
        ),
        f"memory {before / 2**20:,.0f} MiB before, {after / 2**20:,.0f} after (at most 5 % more)": (
            after <= MAX_GROWTH * before
        ),
    }
    for claim, holds in held.items():
        print(f"{'holds' if holds else 'FAILS'}  {claim}")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    asked = argparse.ArgumentParser(prog="python -m bench.load")
    asked.add_argument("--quick", action="store_true", help="10 visitors, three pages each")
    asked.add_argument("--pages", action="store_true", help="what a page costs, before and after")
    asked.add_argument("--baseline", default=pages.BASELINE, help="commit to compare with")
    asked.add_argument("--rounds", type=int, default=pages.ROUNDS)
    chosen = asked.parse_args()
    if chosen.pages:
        raise SystemExit(pages.main(chosen.baseline, chosen.rounds))
    raise SystemExit(main(QUICK if chosen.quick else FULL))
