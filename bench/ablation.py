"""How fast exact ablation sweeps are: ours and the naive loop, in one run and one table.

Claims. A model of SmolLM2-135M's shape (30 layers x 9 heads), 2 x 51 repeated tokens: the whole
exact sweep at least 2.5 times as fast as one `run_with_hooks` a head, the estimate within 5 forward
passes, the 20 most needed heads with exact values within 1/12 of the naive sweep and holding at
least 9 of its top 10, less than 1 GB of extra memory. `attn-only-2l`, 10 x 101 tokens: at least 4
times as fast. Largest difference of any head's loss: 1e-4 nats. SmolLM2 and `gelu-4l`, zero and
mean, the first prompt of the app and repeated tokens: nine of the ten heads with the largest effect
of either sign are exact within 1/10 of the naive loop's time, estimate included, when heads come in
its order.

    python -m bench.ablation            # all; SmolLM2 takes some eight minutes
    python -m bench.ablation small      # the bundled models only
    python -m bench.ablation large      # SmolLM2 only
    python -m bench.ablation large --cpu --naive=12

With `--naive` the loop ablates so many heads, spread over the layers, and its time is that of the
whole by their number; the values of all other heads are then those of our sweep. The table says so.

The operations of both ways are counted as they run (matrix products; a multiplication and an
addition are 2), which gives the ratio that the arithmetic alone would allow: a claim that is not
reached counts as held within a factor of 1.3 of that. For nine of ten heads these
are the operations of an estimate and of the nine that cost least, as if it had named them: of 24
heads in all they are a quarter of the naive loop already. The large model is SmolLM2-135M itself
where its weights are installed, else one of its shape with random weights, whose heads' effects
are all of one size, so that nothing can be ranked; the table says which. Times are wall time, or
CPU seconds with `--cpu`, which other programs on the machine hardly distort; memory is the peak
above the resident set before the call, in a fresh process (Linux only). This says nothing about a
GPU.
"""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from analysis.effects.ablation import ablate_each, ablation_sweep, top_heads
from analysis.effects.estimate import ablation_estimate
from analysis.effects.replacements import WINDOWS, Method, reference_windows
from analysis.head import Head
from analysis.models.catalog import list_models
from analysis.models.loading import HeadModel, load_model
from analysis.runs.inputs import Tokens, repeated_tokens, tokenize
from analysis.runs.suffix import runs_suffixes, z_points
from app.links.parameters import DEFAULT_PROMPT
from bench.memory import peak_of

SMALL, RANKED, LARGE = "attn-only-2l", "gelu-4l", "SmolLM2-135M"
LEAST_RATIO = {SMALL: 4.0, LARGE: 2.5}
WITHIN = 1.3  # of what the operations allow, where the ratio itself is not reached
TOP, TRUE_TOP, LEAST_HITS, LEAST_SHARE = 20, 10, 9, 12
MOST_SHARE, MOST_GAP = 0.1, 1e-4
REPEATS = 3
Result = TypeVar("Result")
clock = time.perf_counter
naive_heads: int | None = None  # how many the loop ablates; None: all


def main(arguments: list[str]) -> int:
    """Print the table; or, as a child process, the peak memory of a sweep."""
    global clock, naive_heads
    if arguments[:1] == ["memory"]:
        print(peak_of_sweep(arguments[1]))
        return 0
    if "--cpu" in arguments:
        clock = time.process_time
        torch.set_num_threads(1)
    for argument in arguments:
        if argument.startswith("--naive="):
            naive_heads = int(argument.removeprefix("--naive="))
    kind = "CPU seconds" if clock is time.process_time else "wall time"
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load}; torch {torch.__version__}")
    print(f"{torch.get_num_threads()} threads, {kind}")
    if naive_heads:
        print(f"the naive loop ablates {naive_heads} heads; its time is that by the number of all")
    print()
    compared, ranked = [SMALL, LARGE], [RANKED, LARGE]
    if "small" in arguments:
        compared, ranked = compared[:1], ranked[:1]
    if "large" in arguments:
        compared, ranked = compared[1:], ranked[1:]
    held = [compare(name) for name in compared]
    held += [rank(name) for name in ranked]
    return 0 if all(held) else 1


def compare(name: str) -> bool:
    """Print both ways' times for one model, and whether the claims about it hold."""
    model, tokens = subject(name)
    assert runs_suffixes(model), "the quick road is not exact for this model"
    repeats = REPEATS if name == SMALL else 1
    forward, _ = timed(lambda: model.bridge.run_with_hooks(tokens.tensor), REPEATS)
    naive_seconds, true = timed_naive(model, tokens, "zero", repeats)
    seconds, found = timed(lambda: ablation_sweep(model, tokens, scored_only=True), repeats)
    estimate_seconds, estimate = timed(lambda: ablation_estimate(model, tokens), REPEATS)
    gap = float(np.nanmax(np.abs(found.values - true)))
    true = np.where(np.isnan(true), found.values, true)
    # One clean run and one ablated: each of the loop's runs is the same work.
    operations = counted(lambda: naive(model, tokens, [0])) / 2 * (true.size + 1)
    ours = counted(lambda: ablation_sweep(model, tokens, scored_only=True))
    limit, ratio = operations / ours, naive_seconds / seconds
    child = [sys.executable, "-m", "bench.ablation", "memory", name]
    memory = int(subprocess.run(child, check=True, capture_output=True, text=True).stdout) / 2**20

    print(f"{model.name}: {tokens.batch} x {tokens.length} tokens, {true.size} heads")
    print(f"{'':<22}{'seconds':>10}{'forwards':>10}{'GFLOP':>12}")
    for label, taken, flops in (
        ("one forward", forward, operations / (true.size + 1)),
        ("naive loop", naive_seconds, operations),
        ("our sweep", seconds, ours),
        ("estimate of all heads", estimate_seconds, None),
    ):
        counts = "" if flops is None else f"{flops / 1e9:,.1f}"
        print(f"{label:<22}{taken:>10.3f}{taken / forward:>10.1f}{counts:>12}")
    least = LEAST_RATIO[name]
    holds = [
        claim(gap <= MOST_GAP, f"largest difference of any head {gap:.1e} nats (at most 1e-4)"),
        claim(
            ratio >= least or ratio >= limit / WITHIN,
            f"naive over ours {ratio:.2f} (at least {least}, or {limit / WITHIN:.2f}: the "
            f"operations allow {limit:.2f})",
        ),
        claim(estimate_seconds <= 5 * forward, "estimate within 5 forward passes"),
        claim(memory < 1024, f"peak extra memory of a sweep {memory:,.0f} MiB (under 1 GB)"),
    ]
    if true.size > TOP:
        top_seconds, top = timed(lambda: top_heads(model, tokens, count=TOP), repeats)
        best = {divmod(int(i), model.n_heads) for i in np.argsort(-true, axis=None)[:TRUE_TOP]}
        hits = len(best & {(head.layer, head.head) for head in top.heads})
        share = naive_seconds / top_seconds
        limit = operations / counted(lambda: top_heads(model, tokens, count=TOP))
        claimed = (
            f"top {TOP} in 1/{share:.1f} of the naive sweep (at most 1/{LEAST_SHARE:g}, or "
            f"1/{limit / WITHIN:.1f}: the operations allow 1/{limit:.1f})"
        )
        holds.append(claim(share >= LEAST_SHARE or share >= limit / WITHIN, claimed))
        holds.append(claim(hits >= LEAST_HITS, f"{hits} of the true top {TRUE_TOP} among them"))
        order = np.corrcoef(estimate.values.ravel(), true.ravel())[0, 1]
        print(f"       estimate and exact values correlate {order:.3f}")
    print()
    return all(holds)


def rank(name: str) -> bool:
    """Print after what share of the naive loop nine of the true ten are exact, by setting."""
    model = load_model(name, device="cpu") if name != LARGE else large_model()
    if model.name.endswith("weights"):
        print(f"{LARGE} is not installed: random weights have no heads to rank")
        return True
    assert runs_suffixes(model)
    story = tokenize(model, DEFAULT_PROMPT)
    repeated = repeated_tokens(model, length=25, batch=2)
    print(f"{model.name}: {LEAST_HITS} of the {TRUE_TOP} heads with the largest effect are exact")
    print(f"{'':<22}{'naive s':>10}{'ours s':>10}{'share':>8}{'heads':>8}{'by operations':>15}")
    held = [
        _rank(model, tokens, method, said)
        for tokens, said in ((story, f"story, {story.length}"), (repeated, "repeated, 2 x 51"))
        for method in ("zero", "mean")
    ]
    print()
    return all(held)


def _rank(model: HeadModel, tokens: Tokens, method: Method, said: str) -> bool:
    seconds, looped = timed_naive(model, tokens, method, 1)
    true = looped
    if naive_heads:
        found = ablation_sweep(model, tokens, method, scored_only=True).values
        true = np.where(np.isnan(looped), found, looped)
    largest = np.argsort(-np.abs(true), axis=None, kind="stable")[:TRUE_TOP]
    wanted = {Head(*divmod(int(index), model.n_heads)) for index in largest}
    heads, hits, gap, start = 0, 0, 0.0, clock()
    order = ablation_estimate(model, tokens, method).order
    for one in ablate_each(model, tokens, order, method, scored_only=True):
        heads, hits = heads + 1, hits + (one.head in wanted)
        if not np.isnan(alone := looped[one.head.layer, one.head.head]):
            gap = max(gap, abs(one.value - alone))
        if hits == LEAST_HITS:
            break
    share = (clock() - start) / seconds
    cheapest = sorted(wanted, reverse=True)[:LEAST_HITS]
    least = counted(lambda: ablation_estimate(model, tokens, method))
    least += counted(lambda: list(ablate_each(model, tokens, cheapest, method, scored_only=True)))
    forward = counted(lambda: model.bridge.run_with_hooks(tokens.tensor))
    if method == "mean" and tokens.batch == 1:  # the reference text, which is known by now
        least += WINDOWS * forward
    operations = counted(lambda: naive(model, tokens, [0], method))
    operations += (true.size - 1) * forward
    limit = least / operations
    holds = gap <= MOST_GAP and (share <= MOST_SHARE or share <= WITHIN * limit)
    print(
        f"{f'{said}, {method}':<22}{seconds:>10.2f}{share * seconds:>10.2f}{share:>8.1%}{heads:>8}"
        f"{limit:>15.1%}  {'holds' if holds else 'FAILS'}"
    )
    return holds


def claim(holds: bool, sentence: str) -> bool:
    print(f"{'holds' if holds else 'FAILS'}  {sentence}")
    return holds


def subject(name: str) -> tuple[HeadModel, Tokens]:
    """The model, and its repeated tokens."""
    if name == SMALL:
        model = load_model(SMALL, device="cpu")
        return model, repeated_tokens(model, length=50, batch=10)
    model = large_model()
    return model, repeated_tokens(model, length=25, batch=2)


def large_model() -> HeadModel:
    """SmolLM2-135M, or random weights of its shape."""
    for info in list_models():
        if info.available and info.name.startswith(LARGE):
            return load_model(info.name, device="cpu")
    # Not before: what tests import hides the models of this machine's user.
    from tests.architectures import from_config

    settings = {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
    }
    # 1 / sqrt(d_model): every matrix keeps the size of what passes through it.
    return from_config(f"{LARGE}-shape-random-weights", settings, scale=0.042)


def timed_naive(
    model: HeadModel, tokens: Tokens, method: Method, repeats: int
) -> tuple[float, np.ndarray]:
    """Seconds of the whole loop, and its values: NaN of heads that it was not run on."""
    size = model.n_layers * model.n_heads
    heads = np.unique(np.linspace(0, size - 1, min(naive_heads or size, size)).astype(int))
    seconds, values = timed(lambda: naive(model, tokens, heads.tolist(), method), repeats)
    # The loop begins with a run as it is.
    return seconds * (size + 1) / (len(heads) + 1), values


def naive(
    model: HeadModel, tokens: Tokens, heads: Sequence[int], method: Method = "zero"
) -> np.ndarray:
    """One whole run with a hook for each of these heads, counted through all layers."""

    def losses(hooks: list[tuple[str, Callable[..., Tensor]]]) -> Tensor:
        logits = model.bridge.run_with_hooks(ids, return_type="logits", fwd_hooks=[*hooks])
        log_probs = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        return -log_probs[:, tokens.scored].mean()

    def without(name: str, head: int) -> Callable[..., Tensor]:
        def replace(z: Tensor, hook: object) -> Tensor:
            z = z.clone()
            z[:, :, head] = means[name][:, head] if method == "mean" else 0
            return z

        return replace

    ids = tokens.tensor
    size = model.n_layers * model.n_heads
    values = np.full(size, np.nan, np.float32)
    with torch.inference_mode():
        means = _mean_z(model, tokens) if method == "mean" else {}
        clean = losses([])
        for index in heads:
            layer, head = divmod(index, model.n_heads)
            name = f"blocks.{layer}.attn.hook_z"
            values[index] = losses([(name, without(name, head))]) - clean
    return values.reshape(model.n_layers, model.n_heads)


def _mean_z(model: HeadModel, tokens: Tokens) -> dict[str, Tensor]:
    """By hook point, z at each position: its mean over the sequences, or the reference text's."""
    windows = tokens.tensor if tokens.batch > 1 else reference_windows(model, tokens)
    means: dict[str, Tensor] = {}

    def add(z: Tensor, hook: object, name: str) -> None:
        means[name] = means.get(name, torch.zeros(())) + z.sum(0) / len(windows)

    hooks = [(name, partial(add, name=name)) for name in z_points(model)]
    for window in windows.split(1):
        model.bridge.run_with_hooks(window, fwd_hooks=[*hooks])
    return means


def timed(call: Callable[[], Result], repeats: int) -> tuple[float, Result]:
    """Median seconds, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = clock()
        result = call()
        seconds.append(clock() - start)
    return median(seconds), result


def counted(call: Callable[[], object]) -> int:
    """Floating-point operations of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def peak_of_sweep(name: str) -> int:
    """Peak resident bytes during a sweep above those before it."""
    model, tokens = subject(name)
    model.bridge.run_with_hooks(tokens.tensor[:, :2])
    return peak_of(lambda: ablation_sweep(model, tokens, scored_only=True))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
