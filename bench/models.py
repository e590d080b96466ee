"""What each model that is here takes, and whether switching between models leaks memory.

Claim: after switching among three models ten times, with room for one of them at a time, resident
memory is within 10 % of what it was after the first round.

    python -m bench.models [rounds]

Measured are the bundled models, SmolLM2 where `make smollm2` has brought it, and one of random
weights in the shape of GPT-2 small, made in a temporary folder. Load is from warm files, weights
into float32 with their checksum; forward is one sequence of 101 tokens, the median of five, with
the loss and the best tokens read from its logits; memory is what is still resident after both, less
what was before. Linux only: resident memory is read from /proc.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from transformers import AutoConfig, AutoModelForCausalLM

from analysis.models.catalog import BUNDLED, OWN_MODELS, available_models, find_model, refresh
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel, load_model, load_tokenizer
from analysis.runs.inputs import repeated_tokens
from analysis.runs.predictions import next_token_stats
from app.compute.loaded_models import LoadedModels
from app.compute.memory import return_memory
from app.compute.visitor import Nobody

RANDOM = "gpt2-small-random"
NAMES = ("attn-only-2l", "gelu-4l", "SmolLM2-135M-Instruct", RANDOM)
ROUNDS = 10
RUNS = 5
TOLERANCE = 0.1


def resident() -> float:
    """Resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def make_gpt2(root: Path) -> None:
    """A model of random weights in the shape of GPT-2 small, with the bundled tokenizer."""
    folder = root / RANDOM
    config = AutoConfig.for_model("gpt2")
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    load_tokenizer(BUNDLED / "attn-only-2l" / "tokenizer.json").save_pretrained(folder)


def forward(model: HeadModel) -> float:
    """Seconds for the predictions on one sequence of 101 tokens."""
    tokens = repeated_tokens(model, length=50, batch=1)
    start = time.perf_counter()
    next_token_stats(model, tokens)
    return time.perf_counter() - start


def measure(info: ModelInfo) -> str:
    """A row of the table."""
    return_memory()
    before = resident()
    start = time.perf_counter()
    model = load_model(info.name)
    loaded = time.perf_counter() - start
    seconds = float(np.median([forward(model) for _ in range(RUNS)]))
    return_memory()
    heads = f"{info.n_layers} x {info.n_heads}"
    kept = resident() - before
    return (
        f"{info.name:24}{heads:>9}{info.n_params / 1e6:10.1f} M{loaded:9.2f} s"
        f"{seconds * 1000:9.0f} ms{kept:9.0f} MB"
    )


def switch(infos: list[ModelInfo], rounds: int) -> list[float]:
    """Resident memory after each round of loading and running every model in turn."""
    models = LoadedModels(1, 2**40, lambda info: load_model(info.name))
    after = []
    for _ in range(rounds):
        for info in infos:
            forward(models.get(info, Nobody()))
        after.append(resident())
    return after


def main(rounds: int = ROUNDS) -> int:
    """Print the table and the rounds."""
    with TemporaryDirectory() as root:
        make_gpt2(Path(root))
        os.environ[OWN_MODELS] = root
        refresh()
        here = {info.name for info in available_models()}
        infos = [find_model(name) for name in NAMES if name in here]
        measure(infos[0])  # imports, and memory that only the first model takes
        print(
            f"{'model':24}{'heads':>9}{'parameters':>12}{'load':>11}{'forward':>12}{'memory':>12}"
        )
        for info in infos:
            print(measure(info), flush=True)
        after = switch(infos[-3:], rounds)
    shown = ", ".join(f"{size:.0f}" for size in after)
    print(f"switching among {', '.join(info.name for info in infos[-3:])}: MB after each round")
    print(shown)
    worst = max(abs(size / after[0] - 1) for size in after)
    print(f"{'holds' if worst <= TOLERANCE else 'FAILS'}  at most {worst:.1%} from the first round")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    raise SystemExit(main(*(int(argument) for argument in sys.argv[1:])))
