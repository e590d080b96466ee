"""What reading a text costs beside running the model on it: time and peak memory.

Claims, for `gelu-4l` and SmolLM2: all heads' statistics take at most 1.5 times as long as a plain
forward pass over the same tokens; a text four times as long takes no more memory, beyond its
tokens, than 1.1 times what the shorter one took.
Both are printed beside a loop that keeps every pattern and sums it up afterwards, which first has
to give the same attention by distance.

    python -m bench.corpus              # both models, some five minutes
    python -m bench.corpus gelu-4l

Times are CPU seconds of one thread, which other programs on the machine hardly distort; memory is
the peak above the resident set before the call, in a fresh process (Linux only). The scan stops
before the unembedding, which it does not need, and the plain pass does not. Partial results are
made on the way as on the page. This says nothing about a GPU.
"""

import os
import platform
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import torch

from analysis.heads.corpus.results import distance_bins
from analysis.heads.corpus.scan import CorpusReader, corpus_steps
from analysis.heads.corpus.texts import shipped_text
from analysis.heads.corpus.windows import Windows, text_windows
from analysis.models.loading import HeadModel, load_model
from analysis.runs.forward import run
from bench.memory import peak_of

# Windows that are timed; of the shorter and the longer text whose memory is measured; windows of
# which the loop keeps all patterns.
SIZES = {"gelu-4l": (160, 40, 160, 40), "SmolLM2-135M-Instruct": (48, 12, 48, 12)}
MOST, MORE_MEMORY = 1.5, 1.1
WAYS = ("plain", "scan", "loop")


def main(arguments: list[str]) -> int:
    """Print a table for each model; or, as a child process, one number."""
    torch.set_num_threads(1)
    if arguments[:1] == ["memory"]:
        print(peak(arguments[1], arguments[2], int(arguments[3])))
        return 0
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load}; torch {torch.__version__}\n")
    held = [compare(name) for name in arguments or SIZES]
    return 0 if all(held) else 1


def compare(name: str) -> bool:
    """Print one model's numbers, and whether the claims about it hold."""
    timed, short, long, looped = SIZES[name]
    model = load_model(name, device="cpu")
    windows = first_windows(model, timed)
    few = Windows(windows.ids[:looped].copy(), windows.n_first)
    run(model, torch.from_numpy(windows.ids[:1].astype(np.int64)))
    gap = np.abs(loop(model, few) - scan(model, few)).max()
    # Before and after: what else the machine does changes meanwhile.
    before = seconds(lambda: plain(model, windows))
    ours = seconds(lambda: scan(model, windows))
    forward = (before + seconds(lambda: plain(model, windows))) / 2
    naive = seconds(lambda: loop(model, few)) * timed / looped
    memory = {
        (way, size): measured(name, way, size)
        for way in WAYS
        for size in ((short, long) if way != "loop" else (looped,))
    }
    print(f"{name}: {timed} windows of {windows.ids.shape[1]} tokens")
    print(f"{'':<28}{'seconds':>10}{'forwards':>10}")
    for label, taken in (
        ("plain forward", forward),
        ("scan of all heads", ours),
        ("loop that keeps patterns", naive),
    ):
        print(f"{label:<28}{taken:>10.2f}{taken / forward:>10.2f}")
    print(f"{'peak memory':<28}{'windows':>10}{'MiB':>10}")
    for (way, size), taken in memory.items():
        print(f"{way:<28}{size:>10}{taken / 2**20:>10,.0f}")
    growth = memory["scan", long] / memory["scan", short]
    holds = [
        claim(gap < 1e-2, f"attention by distance as the loop has it within {gap:.0e} queries"),
        claim(ours <= MOST * forward, f"scan over forward {ours / forward:.2f} (at most {MOST})"),
        claim(
            growth <= MORE_MEMORY,
            f"memory of {long} windows over that of {short}: {growth:.2f} (at most {MORE_MEMORY})",
        ),
    ]
    print()
    return all(holds)


def claim(holds: bool, sentence: str) -> bool:
    print(f"{'holds' if holds else 'FAILS'}  {sentence}")
    return holds


def first_windows(model: HeadModel, count: int) -> Windows:
    """Windows of the text that comes with the app, again from its beginning where it ends."""
    windows = text_windows(model, shipped_text())
    return Windows(np.resize(windows.ids, (count, windows.ids.shape[1])), windows.n_first)


def plain(model: HeadModel, windows: Windows) -> None:
    """The model on all windows, in the batches that the scan has."""
    size = CorpusReader(model.info, windows, 0).at_once
    for start in range(0, len(windows.ids), size):
        run(model, torch.from_numpy(windows.ids[start : start + size].astype(np.int64)))


def scan(model: HeadModel, windows: Windows) -> np.ndarray:
    """All statistics of all heads."""
    (last,) = deque(corpus_steps(model, windows), maxlen=1)
    return last.scan.by_distance


def loop(model: HeadModel, windows: Windows) -> np.ndarray:
    """Every pattern is kept, and one statistic made of them."""
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.n_layers)]
    kept = []
    for ids in windows.ids:
        _, cache = run(model, torch.from_numpy(ids[None].astype(np.int64)), names)
        kept.append(torch.cat([cache[name] for name in names]).numpy())
    size = windows.ids.shape[1]
    distance = np.arange(size)[:, None] - np.arange(size)
    sums = []
    for low, high in distance_bins(size):
        there = (distance >= low) & (distance <= high)
        there[0] = False
        sums.append(sum((pattern * there).sum((-1, -2), dtype=np.float64) for pattern in kept))
    found: np.ndarray = np.stack(sums, -1)
    return found


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measured(name: str, way: str, size: int) -> int:
    """Peak memory of one way, in a process of its own."""
    child = [sys.executable, "-m", "bench.corpus", "memory", name, way, str(size)]
    # glibc learns from the first large piece to keep all later ones, with gaps in between.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(child, check=True, capture_output=True, text=True, env=environment)
    return int(done.stdout)


def peak(name: str, way: str, size: int) -> int:
    """Peak resident bytes of one way above those before it."""
    model = load_model(name, device="cpu")
    windows = first_windows(model, size)
    run(model, torch.from_numpy(windows.ids[:1].astype(np.int64)))
    ways = {"plain": plain, "scan": scan, "loop": loop}
    return peak_of(lambda: ways[way](model, windows))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
