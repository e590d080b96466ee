"""How far our numbers are from those of transformers itself: one table, model by quantity.

    python -m bench.parity

Models are the bundled ones, SmolLM2 where `make smollm2` has brought it, and those with which the
tests stand for the architectures: tiny, of random weights, made in a temporary folder. The right
values come from transformers, with hooks on its own modules and nothing of TransformerLens:
patterns and log probabilities as it gives them; the loss without a head from a run in which the
head's columns of the input of W_O are 0; the logit of the next token, which the parts of an
attribution must sum to. "By hand" is the pattern worked out from queries and keys. The bundled
models are run as a GPT-2 of transformers with their weights. A cell is the largest difference: of
a pattern's entries, of log probabilities and losses in nats, of logits as a share of the largest.
Heads are ablated all, or 24 spread over the layers where a model has more.

Of encoders, in a table below, on a pair of texts: patterns; the log probability of each token that
is masked by itself; the rise of that loss without each head. MiniLM, where `make minilm` has
brought it, has no head for masked tokens.
"""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils.logging import disable_progress_bar

from analysis.activations import verify_pattern
from analysis.effects.ablation import ablate_each
from analysis.effects.masked import masked_ablation, masked_loss
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.logits.attribution import logit_attribution
from analysis.models.catalog import OWN_MODELS, available_models, find_model, refresh
from analysis.models.convert import MINILM
from analysis.models.loading import HeadModel, load_model
from analysis.runs.inputs import Tokens, repeated_tokens, tokenize
from analysis.runs.patterns import attention_patterns
from analysis.runs.predictions import next_token_stats
from tests import encoders
from tests.model_folders import (
    GEMMA3,
    GPT2,
    LLAMA,
    NEOX,
    OTHERS,
    save,
    transformers_itself,
)

BUNDLED = ("attn-only-2l", "gelu-4l")
SMOLLM2 = "SmolLM2-135M-Instruct"
MOST_HEADS = 24
ATTENTION = {"self_attn", "attn", "attention", "self_attention"}
MADE: dict[str, dict[str, Any]] = {
    "gpt2": GPT2,
    "llama": LLAMA,
    "qwen2": {**LLAMA, "model_type": "qwen2"},
    "qwen3": {**LLAMA, "model_type": "qwen3", "head_dim": 8},
    "neox": NEOX,
    "gemma2": {**GEMMA3, "model_type": "gemma2", "final_logit_softcapping": 3.0},
    "gemma3": GEMMA3,
    **OTHERS,
}
ENCODERS = {"bert": encoders.BERT, "roberta": encoders.ROBERTA}
OUTPUT = {"o_proj", "out_proj", "c_proj", "dense"}


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    disable_progress_bar()
    torch.set_grad_enabled(False)
    print(f"{platform.platform()}, torch {torch.__version__}\n")
    print(f"{'':<24}" + "".join(f"{quantity:>15}" for quantity in DIFFERENCES))
    for name in BUNDLED:
        print_row(name, bundled_itself(find_model(name).folder))
    if SMOLLM2 in {info.name for info in available_models()}:
        print_row(SMOLLM2, transformers_itself(find_model(SMOLLM2).folder))
    with TemporaryDirectory() as folder:
        for name, settings in MADE.items():
            save(Path(folder), f"tiny-{name}", settings)
        os.environ[OWN_MODELS] = folder
        refresh()
        for name in MADE:
            print_row(f"tiny-{name}", transformers_itself(find_model(f"tiny-{name}").folder))
        print(f"\n{'encoders':<24}{'pattern':>15}{'masked':>15}{'ablation':>15}")
        for name, settings in ENCODERS.items():
            made = encoders.save(Path(folder), f"tiny-{name}", settings)
            refresh()
            print_encoder(f"tiny-{name}", encoders.transformers_itself(made), encoders.PAIR)
        if MINILM in {info.name for info in available_models()}:
            inner = encoders.transformers_itself(find_model(MINILM).folder, head=False)
            print_encoder(MINILM, inner, "The cat sat on the mat.\n---\nIt was tired.")


def print_row(name: str, inner: Any) -> None:
    """One model's largest differences from what transformers makes of its weights."""
    model = load_model(name)
    tokens = repeated_tokens(model, length=min(6, (model.info.n_ctx - 1) // 2), batch=2)
    cells = []
    for difference in DIFFERENCES.values():
        try:
            cells.append(f"{difference(model, tokens, inner):.0e}")
        except AnalysisError:
            cells.append("refused")
    print(f"{name:<24}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


def print_encoder(name: str, inner: Any, text: str) -> None:
    """An encoder's largest differences on a pair of texts."""
    model = load_model(name)
    tokens = tokenize(model, text)
    segments = tokens.segment_tensor
    right = inner(tokens.tensor, token_type_ids=segments, output_attentions=True).attentions
    cells = [f"{largest(attention_patterns(model, tokens).values, torch.stack(right, 1)):.0e}"]
    try:
        found = masked_loss(model, tokens)
        clean = masked_log_probs(inner, tokens, found.positions, model.tokenizer.mask_token_id)
        cells.append(f"{largest(found.log_probs, clean):.0e}")
        rises = np.empty((model.n_layers, model.n_heads), np.float32)
        for layer, head in np.ndindex(rises.shape):
            output = inner.base_model.encoder.layer[layer].attention.output.dense
            with silenced(output, head, model.d_head):
                without = masked_log_probs(
                    inner, tokens, found.positions, model.tokenizer.mask_token_id
                )
            rises[layer, head] = float((clean - without).mean())
        cells.append(f"{largest(masked_ablation(model, tokens).values, torch.tensor(rises)):.0e}")
    except AnalysisError:
        cells += ["refused"] * (3 - len(cells))
    print(f"{name:<24}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


def masked_log_probs(
    inner: Any, tokens: Tokens, positions: tuple[int, ...], mask: int
) -> Float[Tensor, " entry"]:
    """Log probability of each token when that one is masked, one run of transformers for each."""
    found = []
    for position in positions:
        masked, labels = tokens.tensor, torch.full_like(tokens.tensor, -100)
        masked[0, position], labels[0, position] = mask, int(tokens.ids[0, position])
        given = {"token_type_ids": tokens.segment_tensor, "labels": labels}
        found.append(-float(inner(masked, **given).loss))
    return torch.tensor(found)


class Nothing(nn.Module):
    """In place of an MLP that a model does not have."""

    def forward(self, x: Tensor) -> Tensor:
        """Add 0."""
        return torch.zeros_like(x)


def bundled_itself(folder: Path) -> Any:
    """A GPT-2 of transformers with the weights of a bundled model."""
    stored = load_file(folder / "model.safetensors")
    weights = {name: tensor.float() for name, tensor in stored.items()}
    sizes = json.loads((folder / "config.json").read_text())
    config = GPT2Config(
        vocab_size=sizes["d_vocab"],
        n_positions=sizes["n_ctx"],
        n_embd=sizes["d_model"],
        n_layer=sizes["n_layers"],
        n_head=sizes["n_heads"],
        n_inner=sizes["d_mlp"] or None,
        activation_function="gelu",
        tie_word_embeddings=False,
    )
    config._attn_implementation = "eager"
    inner: Any = GPT2LMHeadModel(config)
    inner.lm_head = nn.Linear(sizes["d_model"], sizes["d_vocab"])
    take(inner.lm_head, weights, "unembed")
    for ours, theirs in (("embed", inner.transformer.wte), ("pos_embed", inner.transformer.wpe)):
        theirs.weight.data = weights[f"{ours}.weight"]
    norms = sizes["normalization"] is not None
    give_norm(inner.transformer, "ln_f", weights, "ln_final" if norms else None)
    for layer, block in enumerate(inner.transformer.h):
        of = f"blocks.{layer}"
        for kind in ("weight", "bias"):
            queries_keys_values = torch.cat([weights[f"{of}.attn.{p}.{kind}"] for p in "qkv"])
            getattr(block.attn.c_attn, kind).data = queries_keys_values.T
        take(block.attn.c_proj, weights, f"{of}.attn.o", turned=True)
        give_norm(block, "ln_1", weights, f"{of}.ln1" if norms else None)
        give_norm(block, "ln_2", weights, f"{of}.ln2" if norms else None)
        if sizes["d_mlp"]:
            take(block.mlp.c_fc, weights, f"{of}.mlp.in", turned=True)
            take(block.mlp.c_proj, weights, f"{of}.mlp.out", turned=True)
        else:
            block.mlp = Nothing()
    return inner.eval()


def give_norm(module: Any, name: str, weights: dict[str, Tensor], ours: str | None) -> None:
    """The norm of that name: with our weights, or none."""
    if ours:
        take(getattr(module, name), weights, ours)
    else:
        setattr(module, name, nn.Identity())


def take(module: Any, weights: dict[str, Tensor], name: str, *, turned: bool = False) -> None:
    """Give a module the weight and bias of that name; GPT-2's own layers hold them turned."""
    weight = weights[f"{name}.weight"]
    module.weight.data = weight.T if turned else weight
    module.bias.data = weights[f"{name}.bias"]


def log_probs_of(inner: Any, tokens: Tokens) -> Tensor:
    """Log probability of each next token, as transformers gives it."""
    logits = inner(tokens.tensor).logits[:, :-1]
    return next_of(logits.log_softmax(-1), tokens)


def next_of(values: Tensor, tokens: Tokens) -> Tensor:
    """The entry of the token that comes next."""
    return values.gather(-1, tokens.tensor[:, 1:, None])[..., 0]


def pattern(model: HeadModel, tokens: Tokens, inner: Any) -> float:
    """Of every layer's pattern."""
    right = torch.stack(inner(tokens.tensor, output_attentions=True).attentions, 1)
    return largest(attention_patterns(model, tokens).values, right)


def by_hand(model: HeadModel, tokens: Tokens, inner: Any) -> float:
    """Of the pattern that queries and keys give."""
    right = inner(tokens.tensor, output_attentions=True).attentions
    return max(
        largest(verify_pattern(model, tokens, layer).computed, right[layer])
        for layer in range(model.n_layers)
    )


def log_prob(model: HeadModel, tokens: Tokens, inner: Any) -> float:
    """Of the log probability of each next token."""
    return largest(next_token_stats(model, tokens).log_probs, log_probs_of(inner, tokens))


def ablation(model: HeadModel, tokens: Tokens, inner: Any) -> float:
    """Of the rise of the loss without each head."""

    def loss() -> float:
        return -float(log_probs_of(inner, tokens)[:, tokens.scored].mean())

    heads = [Head(*divmod(n, model.n_heads)) for n in range(model.n_layers * model.n_heads)]
    heads = heads[:: -(-len(heads) // MOST_HEADS)]
    clean, projections, right = loss(), output_projections(inner), []
    for head in heads:
        with silenced(projections[head.layer], head.head, model.d_head):
            right.append(loss() - clean)
    found = [each.value for each in ablate_each(model, tokens, heads)]
    return largest(found, torch.tensor(right))


def attribution(model: HeadModel, tokens: Tokens, inner: Any) -> float:
    """Of the next token's logit, summed from its parts."""
    right = next_of(inner(tokens.tensor).logits[:, :-1], tokens)
    if cap := getattr(inner.config, "final_logit_softcapping", None):
        right = cap * (right / cap).atanh()  # parts sum to what is bent, not to how it ends up
    found = logit_attribution(model, tokens)
    total = found.values.sum(-1) + found.unembed_bias
    return largest(total, right) / float(right.abs().max())


def output_projections(inner: Any) -> list[Any]:
    """W_O of each layer, which takes the heads' z side by side."""
    found = []
    for name, module in inner.named_modules():
        path, _, own = name.rpartition(".")
        if own in OUTPUT and path.rpartition(".")[-1] in ATTENTION:
            found.append(module)
    return found


@contextmanager
def silenced(projection: Any, head: int, d_head: int) -> Iterator[None]:
    """Without what one head writes."""

    def cut(module: object, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        z = given[0].clone()
        z[..., head * d_head : (head + 1) * d_head] = 0
        return (z, *given[1:])

    hook = projection.register_forward_pre_hook(cut)
    try:
        yield
    finally:
        hook.remove()


def largest(found: Any, right: Tensor) -> float:
    """The largest difference."""
    return float(np.abs(np.asarray(found) - right.numpy()).max())


DIFFERENCES: dict[str, Callable[[HeadModel, Tokens, Any], float]] = {
    "pattern": pattern,
    "by hand": by_hand,
    "log prob": log_prob,
    "zero ablation": ablation,
    "attribution": attribution,
}

if __name__ == "__main__":
    main()
