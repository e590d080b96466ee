"""How snippets get their model: where its files are, and how TransformerLens loads them."""

from analysis.models.catalog import BUNDLED as BUNDLED_MODELS
from analysis.models.info import IN_MEMORY, ModelInfo

# What a program has to have at hand, as its first line.
AT_HAND = {
    "bundled": "# Run this in the folder of Headscope's repository, whose models/{name} it reads.",
    "named": "# Reads the copy of {name} that Headscope found, or else fetches it from the hub.",
    "own": "# Needs the folder {name} with the model's files: where Headscope found it, or here.",
    "memory": "# Save the model from where it is in memory, and its tokenizer too, each with"
    '\n# save_pretrained("{name}").',
    "native": "# Needs the folder {name} with the model's files: where Headscope found it, or here."
    "\n# Its format is Headscope's own: run this in the folder of Headscope's repository.",
}

# Where the app looks for models, too.
FOLDER = """
import os
from pathlib import Path

own = Path(os.environ.get("HEADSCOPE_MODELS", ".")).expanduser()
cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "headscope"
kept = Path(os.environ.get("HEADSCOPE_CACHE", cache)) / "models"
there = [place / FOLDER for place in (kept, own, own.parent, Path())]
there = [folder for folder in there if (folder / "config.json").is_file()]
"""
REQUIRED = """
assert there, f"Put the folder {FOLDER} with the model's files beside this notebook."
"""

BUNDLED_FOLDER = """
from pathlib import Path

MODELS = Path("models")  # Headscope's folder of models, in its repository
folder = MODELS / NAME
"""
NATIVE_FOLDER = (
    FOLDER
    + REQUIRED
    + """
folder = there[0]
"""
)

NATIVE = """
import json

import numpy as np
import torch
from safetensors.torch import load_file
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

torch.set_grad_enabled(False)
facts = json.loads((folder / "config.json").read_text())
tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
tokenizer.add_special_tokens({"bos_token": BOS, "eos_token": BOS, "pad_token": BOS})
# Keeps TransformerLens from looking the tokenizer up on a hub.
tokenizer.init_kwargs.update(name_or_path="", add_bos_token=True)
sizes = ["n_layers", "n_heads", "d_model", "d_head", "n_ctx", "d_vocab"]
config = {size: facts[size] for size in sizes}
if facts["d_mlp"]:
    config["d_mlp"] = facts["d_mlp"]
config = TransformerBridgeConfig(
    **config,
    attn_only=not facts["d_mlp"],
    normalization_type=facts["normalization"],
    positional_embedding_type="standard",
    act_fn=facts.get("act_fn", "gelu"),
)
"""
BOOT = """
model = TransformerBridge.boot_native(config, tokenizer=tokenizer, device="cpu").eval()
"""
BOOT_SHORTFORMER = """
from analysis.models.shortformer import shortformer_bridge

# TransformerLens's own model knows no positions that only queries and keys see.
model = shortformer_bridge(config, tokenizer, "cpu")
"""
LOAD = """
model.load_state_dict(load_file(folder / WEIGHTS))
n_layers, n_heads, d_head = facts["n_layers"], facts["n_heads"], facts["d_head"]
"""

NAMED_SOURCE = """
source = there[0] if there else SOURCE
"""
OWN_SOURCE = (
    REQUIRED
    + """
source = there[0]
"""
)

HUGGING_FACE = """
import numpy as np
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_grad_enabled(False)
tokenizer = AutoTokenizer.from_pretrained(source, revision=REVISION)
{start}
inner = AutoModelForCausalLM.from_pretrained(
    source,
    revision=REVISION,
    dtype=torch.float32,
    use_safetensors=True,
    attn_implementation="eager",
)
inner.config.architectures = [type(inner).__name__]
model = TransformerBridge.boot_transformers(
    str(source), hf_model=inner, tokenizer=tokenizer, device="cpu", dtype=torch.float32
).eval()
n_layers, n_heads, d_head = model.cfg.n_layers, model.cfg.n_heads, model.cfg.d_head
"""
START = """
if tokenizer.bos_token is None:  # what stood between documents takes its place
    ends = [text for text in ENDS_OF_TEXT if text in tokenizer.get_vocab()]
    tokenizer.bos_token = (ends or [tokenizer.eos_token])[0]
"""


def origin(info: ModelInfo) -> str:
    """Where a notebook has the model from, as a key of `AT_HAND`."""
    if info.folder.parent == BUNDLED_MODELS:
        return "bundled"
    if info.kind == "native":
        return "native"
    if info.family == IN_MEMORY:
        return "memory"
    return "named" if info.source else "own"


def at_hand(info: ModelInfo) -> str:
    """The first line of a program: what it has to have at hand."""
    return AT_HAND[origin(info)].format(name=info.folder.name)


def loading(info: ModelInfo) -> list[str]:
    """The blocks of code that end in `tokenizer`, `model` and its sizes."""
    if info.kind != "native":
        source = NAMED_SOURCE if info.source else OWN_SOURCE
        own = f"tokenizer.bos_token = {info.start!r}  # it puts that in front by itself"
        start = own if info.unnamed_bos else START.strip()
        return [FOLDER, source, HUGGING_FACE.format(start=start)]
    folder = BUNDLED_FOLDER if origin(info) == "bundled" else NATIVE_FOLDER
    boot = BOOT_SHORTFORMER if info.positions == "shortformer" else BOOT
    return [folder, NATIVE, boot, LOAD]
