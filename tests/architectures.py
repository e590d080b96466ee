"""Tiny models of random weights in the architectures that people load."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoConfig, AutoModelForCausalLM

from analysis.models.catalog import BUNDLED
from analysis.models.check import trial_ids
from analysis.models.hugging_face import as_found
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel, freeze_weights, load_tokenizer
from analysis.models.probe import find_out
from tests.conftest import make_model

D_VOCAB = 4096
_SIZES = {
    "vocab_size": D_VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": D_VOCAB,
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 64,
    },
    "llama": {**_SIZES, "model_type": "llama", "num_key_value_heads": 2},
    "qwen2": {**_SIZES, "model_type": "qwen2", "num_key_value_heads": 2},
    "qwen3": {**_SIZES, "model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 8},
    "neox": {**_SIZES, "model_type": "gpt_neox", "rotary_pct": 0.5},
    "gemma3": {
        **_SIZES,
        "model_type": "gemma3_text",
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "gemma2": {
        **_SIZES,
        "model_type": "gemma2",
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 64,
        "final_logit_softcapping": 3.0,
    },
}
NATIVE: dict[str, dict[str, Any]] = {
    "native": {},
    "native-LN": {"normalization": "LN"},
    "native-MLP": {"d_mlp": 64},
    "native-LN-MLP": {"d_mlp": 64, "normalization": "LN", "n_layers": 3},
}
ARCHITECTURES = (*NATIVE, *CONFIGS)
# Those, and the one whose positions only queries and keys see.
FAMILIES = (*ARCHITECTURES, "shortformer")


@cache
def tiny(architecture: str) -> HeadModel:
    """A tiny model of that architecture. Read-only: shared by every test."""
    if architecture == "shortformer":
        return make_model(positions="shortformer")
    if architecture in NATIVE:
        return make_model(**NATIVE[architecture])
    return from_config(architecture, CONFIGS[architecture])


def hugging_face_weights(architecture: str) -> dict[str, torch.Tensor]:
    """The weights of `tiny(architecture)` by the names that transformers has for them."""
    weights: dict[str, torch.Tensor] = _inner(CONFIGS[architecture], scale=0.2).state_dict()
    return weights


def plain(architecture: str) -> Any:
    """The same model as `tiny(architecture)` as transformers alone has it: the independent way."""
    return from_transformers(CONFIGS[architecture])


def from_transformers(settings: dict[str, Any], scale: float = 0.2) -> Any:
    """A Hugging Face model of random weights, with attention that gives out its patterns."""
    return _inner({**settings, "attn_implementation": "eager"}, scale).eval()


def _inner(settings: dict[str, Any], scale: float) -> Any:
    config = AutoConfig.for_model(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inner = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in inner.parameters():
            # 0.2 makes attention uneven, so that a mistake in it shows; norms stay near 1.
            spread = torch.randn_like(parameter) * scale
            parameter.data = parameter.data + spread if parameter.dim() == 1 else spread
    return inner


def from_config(name: str, settings: dict[str, Any], scale: float = 0.2) -> HeadModel:
    """A bridge around a Hugging Face model that is made here, from its configuration alone."""
    kind = str(settings["model_type"])
    inner = _inner(settings, scale)
    # TransformerLens finds the adapter by this name, which only a saved model would have.
    inner.config.architectures = [type(inner).__name__]
    tokenizer = load_tokenizer(BUNDLED / "attn-only-2l" / "tokenizer.json")
    bridge = TransformerBridge.boot_transformers(
        f"tiny/{name}", hf_model=inner, tokenizer=tokenizer, device="cpu", dtype=torch.float32
    ).eval()
    freeze_weights(bridge)
    cfg = bridge.cfg
    info = ModelInfo(
        name=name,
        title=name,
        folder=Path(name),
        available=True,
        n_layers=cfg.n_layers,
        n_heads=cfg.n_heads,
        d_model=cfg.d_model,
        d_head=cfg.d_head,
        d_mlp=cfg.d_mlp or 0,
        n_ctx=cfg.n_ctx,
        d_vocab=cfg.d_vocab,
        n_params=0,
        normalization=None,
        kind=kind,
    )
    found = find_out(bridge, trial_ids(8, D_VOCAB))
    info = as_found(info, bridge, found, tokenizer)
    return HeadModel(info, bridge, tokenizer, fingerprint=name)
