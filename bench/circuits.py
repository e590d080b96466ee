"""Circuits at GPT-2 small's sizes: ours and the direct way, in one run.

Claims: copying accuracy over 50,257 tokens takes less than 1 GB of extra memory and no longer than
the row-batched loop over the factored matrix; all-pairs composition of 12 x 12 heads takes less
than 1/20 of the double loop over pairs that multiplies d_model x d_model matrices.

    python -m bench.circuits

Weights are random; a second head that copies almost every token is the worst case for our early
exit. Results are compared before anything is timed. Memory is the peak above the resident set just
before the call, each in a fresh process (Linux only). Times are CPU seconds of one thread, which
other programs on the machine hardly distort. The direct composition loop is timed on a sample of
pairs, each of which is the same work, and scaled to all of them. This says nothing about a GPU.
"""

import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from analysis.circuits.composition import composition_scores, random_baseline
from analysis.circuits.copying import ov_copying
from analysis.head import Head
from analysis.models.catalog import BUNDLED
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel, load_tokenizer, native_bridge
from bench.memory import peak_of

D_MODEL, D_HEAD, D_VOCAB = 768, 64, 50257
RANDOM, COPIER = Head(0, 0), Head(0, 1)
REPEATS = 3
PAIRS = 200  # of 9,504
K = (1, 5)
SLAB_ROWS = 1000  # the course's


def main() -> None:
    """Print the table; or, as a child process, the peak memory of one way of copying."""
    if len(sys.argv) == 3:
        way, head = sys.argv[1:]
        print(extra_memory(COPYING_WAYS[way], Head.parse(head)))
        return
    print(f"{platform.platform()}, {os.cpu_count()} cores, one used")
    print(f"Python {platform.python_version()}, torch {torch.__version__}")
    print(f"{REPEATS} repeats, medians of CPU seconds\n")
    print(f"{'':<34}{'direct':>12}{'ours':>12}{'ratio':>9}{'direct':>12}{'ours':>12}")
    compare_copying(RANDOM, "copying, random head")
    compare_copying(COPIER, "copying, head that copies all")
    compare_composition()


def compare_copying(head: Head, label: str) -> None:
    model = copying_model()
    ours, direct = ov_copying(model, head, K).hits, direct_copying(model, head)
    # Entries that differ by less than rounding may fall either way.
    assert (ours != direct).mean() < 1e-4, "ours and the direct way disagree"
    print(f"top-1 accuracy {ours[0].mean():.4f}, top-5 {ours[1].mean():.4f}")
    seconds = {name: timed(partial(way, model, head)) for name, way in COPYING_WAYS.items()}
    memory = {
        name: int(
            subprocess.run(
                [sys.executable, "-m", "bench.circuits", name, head.label],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        / 2**20
        for name in COPYING_WAYS
    }
    print(
        f"{label:<34}{seconds['direct']:>10.2f} s{seconds['ours']:>10.2f} s"
        f"{seconds['direct'] / seconds['ours']:>8.1f}x"
        f"{memory['direct']:>8,.0f} MiB{memory['ours']:>8,.0f} MiB"
    )


def compare_composition() -> None:
    model = random_model(n_layers=12, n_heads=12, d_vocab=100)
    ours = composition_scores(model, "K").values
    possible = np.argwhere(~np.isnan(ours))
    pairs = np.random.default_rng(0).choice(possible, PAIRS, replace=False)
    bridge = model.bridge
    writes, reads = bridge.W_V @ bridge.W_O, bridge.W_K @ bridge.W_Q.mT
    direct = direct_composition(writes, reads, pairs)
    assert np.allclose(ours[tuple(pairs.T)], direct, atol=1e-5), "scores disagree"

    def fresh() -> None:
        random_baseline.cache_clear()
        composition_scores(model, "K")

    seconds = timed(fresh)
    scale = len(possible) / PAIRS
    direct_seconds = timed(partial(direct_composition, writes, reads, pairs)) * scale
    print(
        f"{'composition, 12 x 12 heads, K':<34}{direct_seconds:>10.2f} s{seconds:>10.2f} s"
        f"{direct_seconds / seconds:>8.1f}x   ({PAIRS} of {len(possible):,} pairs, scaled)"
    )


def direct_copying(model: HeadModel, head: Head) -> np.ndarray:
    """The course's way: slabs of 1000 whole rows of A B, top k of each row."""
    bridge = model.bridge
    left = bridge.W_E @ bridge.W_V[head.layer, head.head]
    right = bridge.W_O[head.layer, head.head] @ bridge.W_U
    hits = []
    for start in range(0, model.d_vocab, SLAB_ROWS):
        logits = left[start : start + SLAB_ROWS] @ right
        own = torch.arange(start, start + len(logits))[:, None]
        best = logits.topk(max(K), dim=1).indices
        hits.append(torch.stack([(best[:, :k] == own).any(1) for k in K]))
    return torch.cat(hits, dim=1).numpy()


def direct_composition(writes: Tensor, reads: Tensor, pairs: np.ndarray) -> np.ndarray:
    """The loop over pairs; every head's own d_model x d_model matrices were made beforehand."""
    scores = []
    for a, b, c, d in pairs:
        written, read = writes[a, b], reads[c, d]
        scores.append(float((written @ read).norm() / (written.norm() * read.norm())))
    return np.array(scores, np.float32)


def our_copying(model: HeadModel, head: Head) -> object:
    return ov_copying(model, head, K)


COPYING_WAYS: dict[str, Callable[[HeadModel, Head], object]] = {
    "direct": direct_copying,
    "ours": our_copying,
}


def copying_model() -> HeadModel:
    """Random weights, but W_U = W_E^T and a second head whose OV projects onto 64 directions."""
    model = random_model(n_layers=1, n_heads=2, d_vocab=D_VOCAB)
    bridge = model.bridge
    bridge.W_U.copy_(bridge.W_E.T)
    basis = torch.linalg.qr(torch.randn(D_MODEL, D_HEAD)).Q
    attention = bridge.blocks[0].attn
    attention.W_V[COPIER.head].copy_(basis)
    attention.W_O[COPIER.head].copy_(basis.T)
    return model


def random_model(n_layers: int, n_heads: int, d_vocab: int) -> HeadModel:
    info = ModelInfo(
        name="random",
        title="Random weights",
        folder=Path("random"),
        available=True,
        n_layers=n_layers,
        n_heads=n_heads,
        d_model=D_MODEL,
        d_head=D_HEAD,
        d_mlp=0,
        n_ctx=8,
        d_vocab=d_vocab,
        n_params=0,
        normalization=None,
    )
    torch.manual_seed(0)
    bridge = native_bridge(info, None, "cpu")
    for parameter in bridge.parameters():
        parameter.copy_(torch.randn(parameter.shape) / math.sqrt(D_MODEL))
    tokenizer = load_tokenizer(BUNDLED / "attn-only-2l" / "tokenizer.json")
    return HeadModel(info, bridge, tokenizer, fingerprint="random")


def extra_memory(way: Callable[[HeadModel, Head], object], head: Head) -> int:
    """Peak resident bytes during the call above those before it."""
    model = copying_model()
    return peak_of(lambda: way(model, head))


def timed(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return median(seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.inference_mode():
        main()
