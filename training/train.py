"""The training loop: batches by phase, learning-rate schedule, and checkpoints on the way."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from training.corpus import Corpus, training_batch
from training.network import Architecture, InitialScales, Network

TEXT_ROWS = 128  # held-out rows that the text loss is measured on: within about 0.02 of all


@dataclass(frozen=True)
class Phase:
    """Batches of one shape, used until `until_tokens` tokens have been seen."""

    until_tokens: int
    row_length: int
    rows: int
    repeat_share: float


def held_out_rows(corpus: Corpus, n_ctx: int) -> np.ndarray:
    """`TEXT_ROWS` rows spread evenly over all held-out novels, BOS first, [row, n_ctx]."""
    starts = np.linspace(0, len(corpus.held_out) - n_ctx, TEXT_ROWS).astype(int)
    rows = [[corpus.bos_id, *corpus.held_out[start : start + n_ctx - 1]] for start in starts]
    return np.array(rows, dtype=np.int64)


def next_token_loss(network: Network, batch: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the next token, nats."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(batch)
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), batch[:, 1:].flatten())


def learning_rate(tokens: int, step: int, settings: dict, total: int) -> float:
    """Linear warm-up, a plateau, then a linear decay to the final rate."""
    peak, final = settings["learning_rate"], settings["final_learning_rate"]
    start = settings["decay_from_tokens"]
    left = min(1.0, (total - tokens) / (total - start))
    return min(1.0, (step + 1) / settings["warmup_steps"]) * (final + (peak - final) * left)


def checkpoint_name(step: int) -> str:
    """File name of the weights after `step` steps."""
    return f"step-{step:06d}.safetensors"


def save_checkpoint(network: Network, path: Path) -> None:
    """Weights as fp16 safetensors, under the names TransformerLens's native bridge uses."""
    save_file(
        {name: value.half().contiguous() for name, value in network.state_dict().items()}, path
    )


def train(recipe: dict, corpus: Corpus, work: Path) -> None:
    """Train by `recipe`; leaves `step-*.safetensors` and `progress.jsonl` in `work`."""
    for stale in work.glob("step-*.safetensors"):
        stale.unlink()
    torch.set_flush_denormal(True)  # denormals late in training make CPU steps three times slower
    torch.manual_seed(recipe["seed"])
    rng = np.random.default_rng(recipe["seed"])
    size = Architecture(**recipe["architecture"])
    phases = [Phase(**phase) for phase in recipe["phases"]]
    network = Network(size, corpus.d_vocab, InitialScales(**recipe["initial"]))
    settings, saving = recipe["optimizer"], recipe["checkpoints"]
    optimizer = torch.optim.AdamW(
        [p for p in network.parameters() if p.requires_grad],
        betas=tuple(settings["betas"]),
        weight_decay=settings["weight_decay"],
        fused=True,
    )
    # A glance at text and induction while training; the shipped history measures both properly.
    text = torch.from_numpy(held_out_rows(corpus, size.n_ctx)[::8])
    repeated = torch.from_numpy(training_batch(corpus, 16, 101, 0.0, np.random.default_rng(2)))
    repeated[:, 51:] = repeated[:, 1:51]
    total, tokens, step, next_save, started = phases[-1].until_tokens, 0, 0, 0, time.monotonic()
    with (work / "progress.jsonl").open("w", encoding="utf-8") as progress:
        while True:
            if tokens >= min(next_save, total):
                save_checkpoint(network, work / checkpoint_name(step))
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                    text_loss = float(next_token_loss(network, text))
                    logits = network(repeated)[:, 51:-1].float()
                    second_half = functional.cross_entropy(
                        logits.flatten(0, 1), repeated[:, 52:].flatten()
                    )
                record = {
                    "step": step,
                    "tokens": tokens,
                    "text_loss": round(text_loss, 4),
                    "second_half_loss": round(float(second_half), 4),
                    "minutes": round((time.monotonic() - started) / 60, 2),
                }
                print(json.dumps(record), file=progress, flush=True)
                dense = tokens < saving["dense_until_tokens"]
                next_save += saving["dense_every_tokens" if dense else "sparse_every_tokens"]
            if tokens >= total:
                return
            phase = next(p for p in phases if tokens < p.until_tokens)
            batch = training_batch(corpus, phase.rows, phase.row_length, phase.repeat_share, rng)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(tokens, step, settings, total)
            loss = next_token_loss(network, torch.from_numpy(batch))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings["clip"])
            optimizer.step()
            tokens += batch.size
            step += 1
