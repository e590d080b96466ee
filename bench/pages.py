"""What a page run costs the server, before and after: processor time of each kind of page.

Printed by `python -m bench.load --pages [--baseline REV] [--rounds N]`. The baseline, by default
the commit before the pages were made cheaper, is served from a worktree of its own beside this
checkout; both are asked in turn, so that whatever else the machine does hits both alike. Each has
one visitor who moves from page to page, as a follower does, among views that were opened before:
every result is remembered, and what is left is the page.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from bench.visitors import ROOT, Visitor, free_port, served, visit

BASELINE = "49b050c"
KINDS = ("", "attention", "tokens", "attribution", "induction", "head")
# As long as those of `bench.load` are on average.
PROMPT = (
    "the old house by the sea and her father told Alice one story about every little girl by a sea "
    "and the old story about a house"
)
VIEWS: tuple[Mapping[str, str], ...] = (
    {"input": "prompt", "prompt": PROMPT},
    {"input": "repeated", "seed": "3"},
)
ROUNDS, WARM_ROUNDS = 15, 4
# Seconds after a page in which the server tidies up; they count as the page's.
REST = 0.05
MAX_MEAN, MAX_HEAD = 45.0, 90.0


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """A folder with the files of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "baseline")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", place, revision], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run([*git, "remove", "--force", place], check=True)


def processor_time(pid: int) -> float:
    """Seconds of processor that a process has taken, to the microsecond."""
    # What clock_getcpuclockid(3) gives; /proc counts in hundredths of a second.
    return time.clock_gettime((~pid << 3) | 2)


def one_round(visitor: Visitor, pid: int) -> dict[str, list[float]]:
    """Milliseconds of each kind of page, on every view."""
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for view in VIEWS:
        for kind in KINDS:
            before = processor_time(pid)
            page = visitor.open(kind, view)
            assert not page.alerts, page.alerts
            time.sleep(REST)
            taken[kind].append(1000 * (processor_time(pid) - before))
    return taken


def main(baseline: str = BASELINE, rounds: int = ROUNDS) -> int:
    """Print the table, and whether the pages are as cheap as they are to be."""
    with ExitStack() as stack:
        folders = {baseline: stack.enter_context(checkout(baseline)), "this checkout": ROOT}
        settings = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".toml"))
        public = (ROOT / "deploy" / "public.toml").read_text(encoding="utf-8")
        settings.write(public.replace('cache_folder = "/cache"', ""))
        settings.flush()
        asked: dict[str, tuple[Visitor, int]] = {}
        for name, folder in folders.items():
            serving = served(free_port(), {"HEADSCOPE_CONFIG": settings.name}, folder)
            address, process = stack.enter_context(serving)
            asked[name] = stack.enter_context(visit(address)), process.pid
        for visitor, pid in asked.values():
            for _ in range(WARM_ROUNDS):
                one_round(visitor, pid)
        taken: dict[str, dict[str, list[float]]] = {name: {k: [] for k in KINDS} for name in asked}
        for _ in range(rounds):
            for name, (visitor, pid) in asked.items():
                for kind, each in one_round(visitor, pid).items():
                    taken[name][kind] += each
        load = os.getloadavg()[0]
    print(f"processor time of a page, ms: mean of {rounds * len(VIEWS)} runs; load {load:.1f}")
    print(f"  {'':14s}{'before':>8s}{'after':>8s}{'ratio':>8s}")
    means = {name: {k: float(np.mean(ms)) for k, ms in of.items()} for name, of in taken.items()}
    before, after = means.values()
    for kind in KINDS:
        print(_row(f"/{kind}", before[kind], after[kind]))
    mean = float(np.mean(list(after.values())))
    print(_row("mean", float(np.mean(list(before.values()))), mean))
    held = {
        f"mean over the kinds {mean:.0f} ms (at most {MAX_MEAN:g})": mean <= MAX_MEAN,
        f"/head {after['head']:.0f} ms (at most {MAX_HEAD:g})": after["head"] <= MAX_HEAD,
    }
    for claim, holds in held.items():
        print(f"{'holds' if holds else 'FAILS'}  {claim}")
    return 0 if all(held.values()) else 1


def _row(name: str, before: float, after: float) -> str:
    return f"  {name:14s}{before:8.1f}{after:8.1f}{after / before:8.2f}"
