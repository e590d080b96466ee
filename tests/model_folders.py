"""Tiny model folders in Hugging Face's format, as people have them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

from analysis.models import catalog
from analysis.models.info import ModelInfo

END = "<|endoftext|>"
NAMED = {"bos_token": END, "eos_token": END, "tokenizer_class": "PreTrainedTokenizerFast"}
PIECES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "tokenizer_class": "LlamaTokenizer",
    "add_bos_token": True,
    "legacy": False,
}
_TEXT = [
    "The cat sat on the mat. The dog sat on the log.",
    "When Mary and John went to the store, John gave a drink to Mary.",
    "Paris is the capital of France and London is the capital of England.",
    "one two three four five six seven eight nine ten",
    "Alice was beginning to get very tired of sitting by her sister on the bank",
] * 5


@cache
def byte_level(*specials: str) -> Tokenizer:
    """A tokenizer of GPT-2's kind."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(_TEXT, trainer)
    return made


@cache
def byte_fallback() -> Tokenizer:
    """A tokenizer of Llama 2's kind: pieces <0x00> to <0xFF>, `▁` for a space."""
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    replace = normalizers.Replace(" ", "▁")
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace])
    pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<unk>", "<s>", "</s>", *pieces],
        show_progress=False,
        max_token_length=12,
    )
    made.train_from_iterator(_TEXT, trainer)
    parts = json.loads(made.to_str())
    parts["added_tokens"] = [t for t in parts["added_tokens"] if not t["content"].startswith("<0x")]
    parts["decoder"] = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    }
    return Tokenizer.from_str(json.dumps(parts))


PLAIN = byte_level(END)
V = PLAIN.get_vocab_size()
_SIZES: dict[str, Any] = {
    "vocab_size": V,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
_GPT: dict[str, Any] = {"vocab_size": V, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
GPT2 = {**_GPT, "model_type": "gpt2"}
LLAMA = {**_SIZES, "model_type": "llama", "num_key_value_heads": 2}
NEOX = {**_SIZES, "model_type": "gpt_neox", "rotary_pct": 0.25}
GEMMA3 = {
    **_SIZES,
    "model_type": "gemma3_text",
    "num_key_value_heads": 1,
    "head_dim": 8,
    "sliding_window": 32,
}
_FALCON: dict[str, Any] = {
    key: value for key, value in _SIZES.items() if key != "intermediate_size"
}
_FALCON["model_type"] = "falcon"
# Architectures that no list of ours names.
OTHERS: dict[str, dict[str, Any]] = {
    "mistral": {**_SIZES, "model_type": "mistral", "num_key_value_heads": 2, "head_dim": 8},
    "gptj": {**_GPT, "model_type": "gptj", "rotary_dim": 4},
    "gpt_neo": {
        "model_type": "gpt_neo",
        "vocab_size": V,
        "hidden_size": 32,
        "num_layers": 4,
        "num_heads": 4,
        "max_position_embeddings": 64,
        "window_size": 48,
        "attention_types": [[["global", "local"], 2]],
    },
    "opt": {
        **{key: value for key, value in _SIZES.items() if key != "intermediate_size"},
        "model_type": "opt",
        "ffn_dim": 48,
        "word_embed_proj_dim": 32,
    },
    "bloom": {
        "model_type": "bloom",
        "vocab_size": V,
        "hidden_size": 32,
        "n_layer": 3,
        "n_head": 4,
    },
    "falcon": {**_FALCON, "multi_query": True, "parallel_attn": True},
    "falcon-alibi": {**_FALCON, "multi_query": True, "parallel_attn": True, "alibi": True},
    "phi": {**_SIZES, "model_type": "phi", "partial_rotary_factor": 0.5},
    "phi3": {**_SIZES, "model_type": "phi3", "num_key_value_heads": 2, "pad_token_id": 0},
    "olmo2": {**_SIZES, "model_type": "olmo2", "num_key_value_heads": 2},
    "stablelm": {
        **_SIZES,
        "model_type": "stablelm",
        "num_key_value_heads": 2,
        "partial_rotary_factor": 0.5,
    },
    "granite": {
        **_SIZES,
        "model_type": "granite",
        "num_key_value_heads": 2,
        "attention_multiplier": 0.3,
        "residual_multiplier": 0.5,
        "logits_scaling": 2.0,
    },
}

# Of each, what few models have: how queries and keys turn, norms without a part, factors, sinks.
ODD: dict[str, dict[str, Any]] = {
    "cohere": {**_SIZES, "model_type": "cohere", "num_key_value_heads": 2},
    "glm": {
        **_SIZES,
        "model_type": "glm",
        "num_key_value_heads": 2,
        "head_dim": 8,
        "pad_token_id": 0,
    },
    "hunyuan": {
        **_SIZES,
        "model_type": "hunyuan_v1_dense",
        "num_key_value_heads": 2,
        "head_dim": 8,
    },
    "smollm3": {
        **_SIZES,
        "model_type": "smollm3",
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "no_rope_layers": [1, 0, 1],
    },
    "olmo": {**_SIZES, "model_type": "olmo"},
    "olmo-clipped": {**_SIZES, "model_type": "olmo", "clip_qkv": 0.5},
    "mpt": {
        "model_type": "mpt",
        "vocab_size": V,
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 3,
        "max_seq_len": 64,
        "expansion_ratio": 2,
    },
    "longrope": {
        **_SIZES,
        "model_type": "phi3",
        "pad_token_id": 0,
        "original_max_position_embeddings": 16,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0, 1.1, 1.2, 1.3],
            "long_factor": [2.0, 3.0, 5.0, 8.0],
        },
    },
    "yarn": {
        **LLAMA,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    },
    "gpt_oss": {
        **_SIZES,
        "model_type": "gpt_oss",
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 32,
    },
    "bitnet": {**_SIZES, "model_type": "bitnet", "num_key_value_heads": 2},
}

# Large in one way each, and tiny in every other.
LARGE = {
    "wide-vocabulary": {
        **LLAMA,
        "vocab_size": 262_144,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "max_position_embeddings": 256,
    },
    "many-heads": {
        **LLAMA,
        "hidden_size": 64,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 2,
        "max_position_embeddings": 256,
    },
    "many-neurons": {
        **LLAMA,
        "hidden_size": 96,
        "intermediate_size": 1024,
        "num_hidden_layers": 24,
        "max_position_embeddings": 256,
    },
}


def save(
    root: Path,
    name: str,
    settings: dict[str, Any],
    tokenizer: Tokenizer = PLAIN,
    tokenizer_config: dict[str, Any] | None = NAMED,
) -> Path:
    """A folder with weights that attend to something: plain initial values hide faults."""
    folder = root / name
    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model(**settings)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            drawn = torch.randn_like(parameter) * 0.2
            parameter.data = parameter.data + drawn if parameter.dim() == 1 else drawn
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    if tokenizer_config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    return folder


@contextmanager
def offered(root: Path) -> Iterator[Path]:
    """Let the models in a folder be those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSCOPE_MODELS", str(root))
        catalog.refresh()
        yield root
    catalog.refresh()


def edit(folder: Path, **values: Any) -> None:
    """Change config.json by hand, as people do."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def listed(name: str) -> ModelInfo:
    """What the list says of a model, looked at anew."""
    catalog.refresh()
    return next(info for info in catalog.list_models() if info.name == name)


def transformers_itself(folder: Path) -> Any:
    """The model in a folder as transformers runs it, with attention that can be looked at."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    ).eval()
