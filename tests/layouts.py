"""GPT-2 and the toy model of the course, in the very layouts in which people have their files."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import GPT2Config, GPT2LMHeadModel

END = "<|endoftext|>"


def toy_file(
    file: Path, n_ctx: int = 2048, d_vocab: int = 50278, d_model: int = 768, n_heads: int = 12
) -> Path:
    """Random weights as HookedTransformer saves them: with masks and sentinels, in float32."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * 0.05

    d_head = d_model // n_heads
    weights = {"embed.W_E": drawn(d_vocab, d_model), "pos_embed.W_pos": drawn(n_ctx, d_model)}
    for layer in range(2):
        block = f"blocks.{layer}.attn"
        for part in "QKV":
            weights[f"{block}.W_{part}"] = drawn(n_heads, d_model, d_head)
        weights[f"{block}.W_O"] = drawn(n_heads, d_head, d_model)
        for part in "QKV":
            weights[f"{block}.b_{part}"] = torch.zeros(n_heads, d_head)
        weights[f"{block}.b_O"] = torch.zeros(d_model)
        weights[f"{block}.mask"] = torch.ones(n_ctx, n_ctx, dtype=torch.bool).tril()
        weights[f"{block}.IGNORE"] = torch.tensor(-1e5)
    weights |= {"unembed.W_U": drawn(d_model, d_vocab), "unembed.b_U": torch.zeros(d_vocab)}
    torch.save(weights, file)
    return file


def gpt2_folder(folder: Path, prefix: str = "", **sizes: int) -> Path:
    """Random weights in the hub's layout: causal masks among them, nothing named by a head.

    The hub's names have no prefix; a copy that transformers has saved has `transformer.`.
    """
    folder.mkdir(parents=True)
    pieces = _byte_level(sizes.get("vocab_size", 50257))
    pieces.save(str(folder / "tokenizer.json"))
    pieces.model.save(str(folder))  # vocab.json and merges.txt
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1024}')
    settings: dict[str, Any] = {"n_positions": 1024, "vocab_size": 50257, **sizes}
    config = GPT2Config(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inner = GPT2LMHeadModel(config)
    weights = {
        prefix + name.removeprefix("transformer."): value.contiguous()
        for name, value in inner.state_dict().items()
        if name != "lm_head.weight"
    }
    mask = torch.ones(config.n_positions, config.n_positions).tril()[None, None]
    for layer in range(config.n_layer):
        weights[f"{prefix}h.{layer}.attn.bias"] = mask.clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    described = {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": config.vocab_size - 1,
        "embd_pdrop": 0.1,
        "eos_token_id": config.vocab_size - 1,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": config.n_positions,
        "n_embd": config.n_embd,
        "n_head": config.n_head,
        "n_layer": config.n_layer,
        "n_positions": config.n_positions,
        "resid_pdrop": 0.1,
        "summary_activation": None,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True,
        "summary_type": "cls_index",
        "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "vocab_size": config.vocab_size,
    }
    (folder / "config.json").write_text(json.dumps(described, indent=2))
    return folder


def _byte_level(size: int) -> Tokenizer:
    """As many pieces as GPT-2 has, its end-of-text token the last of them."""
    pieces = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for first in pieces[:]:  # pairs of bytes, as merges know them
        for second in pieces[:256]:
            if len(pieces) == size - 1:
                break
            merges.append((first, second))
            pieces.append(first + second)
    vocabulary = {piece: i for i, piece in enumerate([*pieces, END])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    made.add_special_tokens([END])
    return made
