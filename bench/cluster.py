"""What workers are worth: long work and a page's questions here, by processes and by Ray's actors.

Of Ray's actors twice: a process's own, and those that all share who have joined a cluster.

    python -m bench.cluster                # here, processes and, where it is installed, Ray
    python -m bench.cluster --model SmolLM2-135M-Instruct --windows 16 --heads 24
    python -m bench.cluster --only here process

A sweep, a reading of a text and the mosaic go to as many workers as there are; questions such as a
page asks, one after the other. Printed for each engine with 1 and with 2 workers: seconds, and
their ratio to this process with one thread; the largest difference of any number from it, which has
to be at most 1e-6; what a piece costs beside the work itself, as processor time of this process and
its workers less that of doing it here; the time of a message that nothing is done for, the shortest
of twenty; memory of each role: the part of its own, and that of files, which it can share with
others (Linux only). Workers are warm: starting one and loading its model is timed by itself.
Seconds of the clock mean little on a machine that is busy otherwise, whose load is printed;
processor time and the rest do.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

import analysis
from analysis.head import Head, all_heads
from analysis.heads.corpus.batches import WindowBatch
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel
from app.compute.calls.by_name import questions
from app.compute.workers.crew import Crew
from app.compute.workers.messages import packed
from app.compute.workers.office import Office, OwnOffice, Taken, Wanted, Worker
from app.compute.workers.pieces import Asked, Job, kinds, unnamed
from app.compute.workers.process import WorkerProcess
from bench.load import processor_time

MOST = 1e-6
WINDOW = 256
EMPTY_CALLS = 20


@dataclass(frozen=True)
class Task:
    """One kind of work: its pieces, or arguments of a question, and the numbers that come out."""

    name: str
    work: Job | str  # the job that they are pieces of, or the question by its name
    pieces: list[tuple[Any, ...]]
    numbers: Callable[[list[Any]], np.ndarray]


@dataclass(frozen=True, eq=False)
class Alone:
    """What a task takes in this process: seconds, those of a core, and what comes out."""

    seconds: float
    processor: float
    numbers: np.ndarray


def tasks(model: HeadModel, heads: int, windows: int) -> list[Task]:
    """A sweep over some heads, a reading of some windows, the mosaic, and a page's questions."""
    info = model.info
    prompt = analysis.tokenize(model, "The cat sat on the mat. The cat sat")
    tokens = unnamed(analysis.repeated_tokens(model, length=50, batch=10, seed=0))
    chosen = all_heads(info)[:heads]
    text = analysis.text_windows(model, analysis.shipped_text(), min(WINDOW, model.n_ctx))
    ids = text.ids[:windows]
    reader = analysis.CorpusReader(info, analysis.Windows(ids, text.n_first), 0)
    batches: list[WindowBatch] = []
    ahead = 0
    while ahead < min(len(ids), reader.until_known):
        batches.append(reader.next_batch(ahead))
        ahead += len(batches[-1].ids)
    return [
        Task(
            "sweep",
            Job("sweep", info, (tokens, "zero", 0)),
            list(analysis.sweep_pieces(info, tokens, chosen)),
            lambda found: np.array([one.value for some in found for one in some]),
        ),
        Task(
            "reading",
            Job("windows", info, (reader.window,)),
            [(batch,) for batch in batches],
            lambda found: np.concatenate([each.columns.ravel() for each in found]),
        ),
        Task(
            "mosaic",
            "mosaic_scores",
            [()] * 4,  # as of as many models
            lambda found: np.stack([each["induction"] for each in found]),
        ),
        Task(
            "question",
            "attention_patterns",
            [(prompt, (layer,)) for layer in range(info.n_layers)] * 10,
            lambda found: np.stack([each.values for each in found]),
        ),
    ]


def here(model: HeadModel, task: Task) -> list[Any]:
    """All pieces in this process."""
    if isinstance(task.work, str):
        return [questions()[task.work](model, *piece) for piece in task.pieces]
    work = kinds()[task.work.kind].begin(model, *task.work.shared)
    return [work(*piece) for piece in task.pieces]


class Seen:
    """An office, and the workers that it has given out by now."""

    def __init__(self, office: Office):
        self._office, self.width = office, office.width
        self.workers: dict[int, Any] = {}  # by number of the process

    def take(self, wanted: Wanted) -> Taken[Worker] | None:
        """As the office."""
        taken = self._office.take(wanted)
        if taken is not None and taken.worker not in self.workers.values():
            process = taken.worker.process  # type: ignore[attr-defined]
            self.workers[process if isinstance(process, int) else process.pid] = taken.worker
        return taken

    def give_back(self, number: int, has: str | None) -> None:
        """As the office."""
        self._office.give_back(number, has)

    def drop(self, number: str) -> None:
        """As the office."""
        self._office.drop(number)

    def close(self) -> None:
        """As the office."""
        self._office.close()


def engines(only: list[str]) -> Iterator[tuple[str, Callable[[int], Office]]]:
    """Names of engines, and an office of so many workers of each."""
    if "process" in only:
        yield "process", lambda workers: OwnOffice(WorkerProcess, workers)
    if "ray" in only and find_spec("ray") is not None:
        from app.compute.workers.actors import OWN, RayCluster

        # Shared ones stay when a process leaves: their cores are theirs until the end.
        cluster = RayCluster(OWN, 5)
        yield "ray", lambda workers: OwnOffice(cluster.hire, workers)
        yield "shared", lambda workers: RayCluster(cluster.address, workers).office()


def main(arguments: list[str]) -> int:
    """Print the table; 1 where a number differs by more than `MOST`."""
    asked = argparse.ArgumentParser(prog="python -m bench.cluster")
    asked.add_argument("--model", default="gelu-4l")
    asked.add_argument("--heads", type=int, default=10_000)
    asked.add_argument("--windows", type=int, default=32)
    asked.add_argument("--only", nargs="*", default=["here", "process", "ray"])
    chosen = asked.parse_args(arguments)
    torch.set_num_threads(1)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load}; torch {torch.__version__}")
    model = analysis.load_model(chosen.model, device="cpu")
    work = tasks(model, chosen.heads, chosen.windows)
    alone: dict[str, Alone] = {}
    for task in work:
        here(model, task)  # what is made once
        since, used = time.perf_counter(), time.process_time()
        found = task.numbers(here(model, task))
        one = Alone(time.perf_counter() - since, time.process_time() - used, found)
        alone[task.name] = one
        print(
            f"{task.name:8} here       {one.seconds:6.2f} s, {one.processor:.2f} s of a core, "
            f"{len(task.pieces)} pieces",
            flush=True,
        )
    print(f"memory   here     {memory(os.getpid())}")
    held = True
    for name, office in engines(chosen.only):
        for workers in (1, 2):
            held = compare(name, Seen(office(workers)), model.info, work, alone) and held
    return 0 if held else 1


def compare(
    name: str, office: Seen, info: ModelInfo, work: list[Task], alone: dict[str, Alone]
) -> bool:
    """Print what one engine takes; whether its numbers are those of this process."""
    crew, workers = Crew(office), office.width
    held = True
    try:
        since = time.perf_counter()
        run(crew, info, replace(work[0], pieces=work[0].pieces[: 2 * workers]))
        print(f"start    {name} {workers}  {time.perf_counter() - since:6.2f} s")
        for task in work:
            run(crew, info, replace(task, pieces=task.pieces[: 2 * workers]))
            numbers = list(office.workers)
            since, used = time.perf_counter(), processor_time(*numbers, os.getpid())
            found = task.numbers(run(crew, info, task))
            seconds = time.perf_counter() - since
            used = processor_time(*numbers, os.getpid()) - used
            one = alone[task.name]
            off = float(np.nanmax(np.abs(found - one.numbers)))
            more = 1000 * (used - one.processor) / len(task.pieces)
            held = held and off <= MOST
            print(
                f"{task.name:8} {name} {workers}  {seconds:6.2f} s, "
                f"{one.seconds / seconds:.2f} times as fast, {used:.2f} s of a core, "
                f"{more:+.0f} ms a piece, off by {off:.1e}",
                flush=True,
            )
        milliseconds = 1000 * message(office.workers[numbers[0]])
        print(f"message  {name} {workers}  {milliseconds:.2f} ms there and back")
        for number in numbers:
            print(f"memory   {name} {workers}  {memory(number)}")
        parts = [each.pid for each in psutil.Process().children(recursive=True)]
        others = [number for number in parts if number not in numbers]
        if others:
            print(f"memory   {name} {workers}  {memory(*others)}: its {len(others)} own processes")
    finally:
        crew.close()
    return held


def run(crew: Crew, info: ModelInfo, task: Task) -> list[Any]:
    """All pieces by workers; the mosaic's models as many at once, other questions one by one."""
    if isinstance(task.work, Job):
        with closing(crew.map(task.work, task.pieces, lambda: None)) as found:
            return list(found)
    asked = [Asked(task.work, info, piece, {}, ()) for piece in task.pieces]
    with ThreadPoolExecutor(crew.width if task.name == "mosaic" else 1) as pool:
        return list(pool.map(lambda one: crew.ask(one, lambda loading: None), asked))


def message(worker: Worker) -> float:
    """Seconds of a message of two hundred heads to a worker that does not know the job."""
    data = packed("piece", "nobody's", tuple(Head(0, head) for head in range(200)))
    times = []
    for _ in range(EMPTY_CALLS):
        since = time.perf_counter()
        worker.ask(data)
        times.append(time.perf_counter() - since)
    return min(times)


def memory(*processes: int) -> str:
    """What processes hold for themselves, and what they hold that others can share."""
    own = shared = 0.0
    for process in processes:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        own += kilobytes["Private_Dirty"] / 1024
        shared += (kilobytes["Rss"] - kilobytes["Private_Dirty"]) / 1024
    return f"{own:.0f} MB of its own, {shared:.0f} MB of files"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
