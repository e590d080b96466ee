"""Tiny encoders of random weights, in folders as people have them."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    PreTrainedTokenizerFast,
)

_FRAME = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
WORDS = [
    *_FRAME,
    *("the", "cat", "sat", "on", "a", "mat"),
    *("and", "dog", "ran", ".", "it", "was", "tired"),
]
TEXT = "the cat sat on the mat ."
PAIR = f"{TEXT}\n---\nit was tired ."
_SIZES: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "pad_token_id": 0,
}
BERT = {**_SIZES, "model_type": "bert", "max_position_embeddings": 32}
# Its positions begin behind that of padding, and it has one segment.
ROBERTA = {**_SIZES, "model_type": "roberta", "max_position_embeddings": 33, "type_vocab_size": 1}
CAMEMBERT = {**ROBERTA, "model_type": "camembert"}


def tokenizer() -> PreTrainedTokenizerFast:
    """Words, with BERT's frame around one text or two."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def save(root: Path, name: str, settings: dict[str, Any], head: bool = True) -> Path:
    """A folder of an encoder, with its head for masked tokens or without."""
    folder = root / name
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model(**settings)
        model = (AutoModelForMaskedLM if head else AutoModel).from_config(config)
        for parameter in model.parameters():
            drawn = torch.randn_like(parameter) * 0.4
            parameter.data = parameter.data + drawn if parameter.dim() == 1 else drawn
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def transformers_itself(folder: Path, head: bool = True) -> Any:
    """The model in a folder as transformers runs it."""
    auto = AutoModelForMaskedLM if head else AutoModel
    return auto.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    ).eval()
