"""How fast a verdict's random groups are: rows of one batch above a shared prefix, and naively.

Claim. Two heads of layers 20 and 25 of SmolLM2-135M-Instruct and 10 matched-random groups, on 32
prompts: at least 2.5 times as fast as one forward pass for each group and prompt, with the same
logit differences within 1e-3.

    python -m bench.verdict             # a minute or two; needs `make smollm2`
    python -m bench.verdict gelu-4l     # the same for a bundled model and two of its last heads

CPU seconds of one thread, which other programs on the machine hardly distort. The clean run is
counted in ours and left out of the naive way. Says nothing about a GPU, nor about long prompts,
where less is gained by taking them together.
"""

import platform
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch

from analysis.effects.groups import Group, group_metrics
from analysis.head import Head
from analysis.models.loading import HeadModel, load_model
from analysis.roles.verdict import random_groups
from analysis.runs.forward import silence
from analysis.sets.fitted import FittedSet, fit_set, prompt_set

LARGE = "SmolLM2-135M-Instruct"
LEAST_RATIO, LARGEST_GAP = 2.5, 1e-3
ROWS = 32


def main(arguments: Sequence[str]) -> int:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = load_model(arguments[0] if arguments else LARGE, device="cpu")
    last = model.n_layers - 1
    heads = (Head(20, 0), Head(25, 2)) if model.name == LARGE else (Head(last, 0), Head(last, 1))
    fitted = fit_set(model, prompt_set(model, "indirect-object", count=ROWS, seed=1))
    groups = [heads, *random_groups(model, heads)]
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread, CPU seconds")
    print(f"{model.name}: {len(groups)} groups of {len(heads)}, {len(fitted.rows)} prompts")
    group_metrics(model, fitted, groups[:1])  # tries once whether the quick road is exact
    start = time.process_time()
    quick = group_metrics(model, fitted, groups).without
    ours = time.process_time() - start
    start = time.process_time()
    slow = naive(model, fitted, groups)
    theirs = time.process_time() - start
    gap = float(np.abs(quick - slow).max())
    held = gap < LARGEST_GAP and theirs / ours >= LEAST_RATIO
    print(f"ours {ours:.1f} s, naive {theirs:.1f} s, ratio {theirs / ours:.1f}, gap {gap:.1e}")
    print("held" if held else "NOT HELD")
    return 0 if held else 1


def naive(model: HeadModel, fitted: FittedSet, groups: Sequence[Group]) -> np.ndarray:
    """Logit difference by group and row, one forward pass each."""
    found = np.empty((len(groups), len(fitted.rows)), np.float32)
    for g, group in enumerate(groups):
        for r, row in enumerate(fitted.rows):
            logits = model.bridge.run_with_hooks(
                torch.tensor([row.ids]), return_type="logits", fwd_hooks=[*silence(group)]
            )[0, -1]
            found[g, r] = float(logits[row.answer] - logits[row.foil])
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
