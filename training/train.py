"""The training loop: batches by phase, learning-rate schedule, and checkpoints on the way."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from training.corpus import Corpus, training_batch
from training.network import Architecture, InitialScales, Network

SAMPLED_ROWS = 128  # of the held-out rows, for checkpoints; their loss is within about 0.02 of all


@dataclass(frozen=True)
class Phase:
    """Batches of one shape, used until `until_tokens` tokens have been seen."""

    until_tokens: int
    row_length: int
    rows: int
    repeat_share: float


def held_out_rows(corpus: Corpus, n_ctx: int) -> np.ndarray:
    """All of the held-out novels in rows back to back, BOS first, [row, n_ctx]."""
    starts = np.arange(0, len(corpus.held_out) - n_ctx + 1, n_ctx - 1)
    return _text_rows(corpus, n_ctx, starts)


def sampled_rows(corpus: Corpus, n_ctx: int, count: int = SAMPLED_ROWS) -> np.ndarray:
    """`count` rows spread evenly over the held-out novels, BOS first, [row, n_ctx]."""
    starts = np.linspace(0, len(corpus.held_out) - n_ctx, count).astype(int)
    return _text_rows(corpus, n_ctx, starts)


def _text_rows(corpus: Corpus, n_ctx: int, starts: np.ndarray) -> np.ndarray:
    rows = [[corpus.bos_id, *corpus.held_out[start : start + n_ctx - 1]] for start in starts]
    return np.array(rows, dtype=np.int64)


def next_token_loss(network: Network, batch: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the next token, nats.

    In float32 and row by row: on the CPUs it was made on bf16 autocast took 1.4 times as long, and
    the logits of a whole batch at once, which fit no cache, 1.3 times.
    """
    resid = network.final_residual(batch)
    total = torch.zeros(())
    for row, ids in zip(resid, batch, strict=True):
        total = total + functional.cross_entropy(
            network.unembed(row[:-1]), ids[1:], reduction="sum"
        )
    return total / batch[:, 1:].numel()


def learning_rate(tokens: int, points: list[list[float]]) -> float:
    """The rate at `tokens` seen: straight lines between the recipe's (tokens, rate) points."""
    at, rates = zip(*points, strict=True)
    return float(np.interp(tokens, at, rates))


def make_optimizers(network: Network, settings: dict) -> list[torch.optim.Optimizer]:
    """AdamW for everything; with `muon`, Muon for the matrices inside the blocks.

    On gelu-4l Muon's loss on text after 0.5 M tokens was AdamW's after 0.95 M, at a fifth fewer
    tokens a second.
    """
    decay = settings["weight_decay"]
    matrices = [p for p in network.blocks.parameters() if p.requires_grad and p.ndim == 2]
    chosen = set(matrices) if settings["muon"] else set()
    rest = [p for p in network.parameters() if p.requires_grad and p not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, betas=tuple(settings["betas"]), weight_decay=decay, fused=True)
    ]
    if chosen:
        # Scaled so that one learning rate suits both.
        optimizers.append(
            torch.optim.Muon(matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers


def checkpoint_name(step: int) -> str:
    """File name of the weights after `step` steps."""
    return f"step-{step:06d}.safetensors"


def save_checkpoint(network: Network, path: Path) -> None:
    """Weights as fp16 safetensors, under the names TransformerLens's native bridge uses."""
    save_file(
        {name: value.half().contiguous() for name, value in network.state_dict().items()}, path
    )


def train(recipe: dict, corpus: Corpus, work: Path, resume: bool = False) -> None:
    """Train by `recipe`; leaves `step-*.safetensors` and `progress.jsonl` in `work`.

    With `resume` it goes on from the last checkpoint there, with new moments in the optimizer.
    """
    torch.set_flush_denormal(True)  # denormals late in training make CPU steps three times slower
    torch.manual_seed(recipe["seed"])
    size = Architecture(**recipe["architecture"])
    phases = [Phase(**phase) for phase in recipe["phases"]]
    network = Network(size, corpus.d_vocab, InitialScales(**recipe["initial"]))
    settings, saving = recipe["optimizer"], recipe["checkpoints"]
    optimizers = make_optimizers(network, settings)
    log = work / "progress.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()] if resume else []
    step, tokens, minutes = 0, 0, 0.0
    if resume:
        step, tokens, minutes = (records[-1][key] for key in ("step", "tokens", "minutes"))
        weights = load_file(work / checkpoint_name(step))
        network.load_state_dict({name: value.float() for name, value in weights.items()})
    else:
        for stale in work.glob("step-*.safetensors"):
            stale.unlink()
    rng = np.random.default_rng([recipe["seed"], step])
    # A glance at text and induction while training; the shipped history measures both properly.
    text = torch.from_numpy(sampled_rows(corpus, size.n_ctx, 16))
    repeated = torch.from_numpy(training_batch(corpus, 16, 101, 0.0, np.random.default_rng(2)))
    repeated[:, 51:] = repeated[:, 1:51]
    total, started = phases[-1].until_tokens, time.monotonic()
    next_save = tokens + _save_every(tokens, saving) if resume else 0
    with log.open("a" if resume else "w", encoding="utf-8") as progress:
        while True:
            if tokens >= min(next_save, total):
                save_checkpoint(network, work / checkpoint_name(step))
                with torch.no_grad():
                    logits = network(repeated)[:, 51:-1]
                    second_half = functional.cross_entropy(
                        logits.flatten(0, 1), repeated[:, 52:].flatten()
                    )
                    record = {
                        "step": step,
                        "tokens": tokens,
                        "text_loss": round(float(next_token_loss(network, text)), 4),
                        "second_half_loss": round(float(second_half), 4),
                        "minutes": round(minutes + (time.monotonic() - started) / 60, 2),
                    }
                print(json.dumps(record), file=progress, flush=True)
                next_save = tokens + _save_every(tokens, saving)
            if tokens >= total:
                return
            phase = next(p for p in phases if tokens < p.until_tokens)
            batch = training_batch(corpus, phase.rows, phase.row_length, phase.repeat_share, rng)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(tokens, settings["learning_rate"])
            loss = next_token_loss(network, torch.from_numpy(batch))
            network.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings["clip"])
            for optimizer in optimizers:
                optimizer.step()
            tokens += batch.size
            step += 1


def _save_every(tokens: int, saving: dict) -> int:
    dense = tokens < saving["dense_until_tokens"]
    every: int = saving["dense_every_tokens" if dense else "sparse_every_tokens"]
    return every
