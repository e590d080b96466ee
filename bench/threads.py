"""Whether runs of one model from many threads stay what they are alone.

Claim: 1,000 clean and ablated runs, mixed, from 8 threads give no result that differs from that of
the same run made serially. Without the lock most would be wrong: hooks sit on shared modules.

    python -m bench.threads [runs]

Every thread takes the next run of one list, so that clean and ablated ones are under way at any
time. A result counts as different beyond 1e-6, above rounding and far below any effect. What this
cannot show: two processes, which share no modules.
"""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from analysis.effects.ablation import ablate_head, ablate_heads
from analysis.effects.edges import edge_attribution, faithfulness
from analysis.effects.estimate import ablation_estimate
from analysis.head import Head
from analysis.models.loading import HeadModel, load_model
from analysis.runs.inputs import repeated_tokens, tokenize
from analysis.runs.patterns import attention_patterns
from analysis.runs.predictions import next_token_stats

THREADS = 8
RUNS = 1000
TOLERANCE = 1e-6


def tasks(model: HeadModel) -> list[Callable[[], np.ndarray]]:
    """Clean and ablated runs of the model, each with one array as its result."""
    prompt = tokenize(model, "The cat sat on the mat, and the cat slept.")
    other = tokenize(model, "Something else entirely, my dear.")
    many = repeated_tokens(model, length=10, batch=3)
    edges = edge_attribution(model, many).edges[:8]
    return [
        lambda: next_token_stats(model, prompt).log_probs,
        lambda: ablate_head(model, many, Head(0, 0)).per_token,
        lambda: attention_patterns(model, other).values,
        lambda: ablate_head(model, prompt, Head(1, 2)).per_token,
        lambda: next_token_stats(model, many).log_probs,
        lambda: ablate_heads(model, many, [Head(0, 1), Head(1, 4)], "mean").per_token,
        lambda: attention_patterns(model, prompt).values,
        lambda: ablation_estimate(model, many).values,
        lambda: next_token_stats(model, other).log_probs,
        lambda: np.array([faithfulness(model, many, edges).loss]),
    ]


def main(runs: int = RUNS) -> int:
    """Print how many results differ."""
    model = load_model("attn-only-2l", device="cpu")
    calls = tasks(model)
    expected = [call() for call in calls]
    chosen = np.random.default_rng(0).integers(len(calls), size=runs)
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda index: calls[index](), chosen))
    seconds = time.perf_counter() - start
    gaps = [
        float(np.nanmax(np.abs(result - expected[index])))
        for index, result in zip(chosen, found, strict=True)
    ]
    wrong = sum(gap > TOLERANCE for gap in gaps)
    print(f"{runs:,} runs from {THREADS} threads in {seconds:.1f} s")
    print(
        f"{'holds' if not wrong else 'FAILS'}  {wrong} differ from the serial runs "
        f"(largest difference {max(gaps):.1e})"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(*(int(argument) for argument in sys.argv[1:])))
