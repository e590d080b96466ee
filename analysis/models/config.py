"""Reading a model's facts from its folder, before any weights are loaded."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from analysis.models.info import INDEX, WEIGHTS, ModelInfo, Positions, machine_memory

# Tokens that a model in a user's own folder is run on at most.
DEFAULT_CONTEXT = 512
# Beside the weights of a download: the repository and the commit that they came from.
ORIGIN = "origin.json"
_MAX_HEADER = 16 * 2**20
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
LONGEST_TITLE = 80
# What reading a file that is not what it should be raises: no file, no JSON, other keys and types,
# no heads to divide by, lists so deep that they exhaust the parser's stack.
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
# Of what a config.json may say: links count layers and heads in three digits.
MOST_HEADS = 1000
MOST_WIDTH = 10_000_000


def read_info(folder: Path, entry: Mapping[str, Any] | None = None) -> ModelInfo:
    """The model in `folder`, from its config.json; `problem` says what is wrong with its files."""
    facts = dict(entry or {})
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("not an object")
        hugging_face = "model_type" in config
        sizes = (
            _hugging_face_sizes(config, folder, facts)
            if hugging_face
            else _own_sizes(config, facts)
        )
    except _Unsupported as refusal:
        return without_files(folder.name, facts, folder, str(refusal))
    except _UNREADABLE:
        reason = f"The config.json of {folder.name} is missing or damaged. Copy the model anew."
        return without_files(folder.name, facts, folder, reason)
    problem = _problem(folder) if hugging_face else _own_problem(folder)
    info = ModelInfo(
        name=folder.name,
        title=_title(facts.get("title", config.get("title")), folder.name),
        folder=folder,
        available=not problem,
        problem=problem,
        commit=_commit(folder),
        **_listed(facts, own="Your folder" if hugging_face else "Headscope"),
        **sizes,
    )
    if info.available and not info.fits:
        needed, there = info.memory_bytes / 2**30, machine_memory() / 2**30
        reason = f"{info.name} needs about {needed:.1f} GB of memory; this machine has {there:.1f}."
        return without_files(folder.name, facts, folder, f"{reason} Choose a smaller model.")
    return info


class _Unsupported(ValueError):
    """A kind of model that is not analysed; the message says so."""


def _commit(folder: Path) -> str:
    """The commit that a folder is from: as noted at the download, or by the hub's own cache."""
    try:
        noted = str(json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["commit"])
    except (OSError, ValueError, KeyError, TypeError):
        noted = folder.name if folder.parent.name == "snapshots" else ""
    return noted if re.fullmatch("[0-9a-f]{40}", noted) else ""


def _listed(facts: Mapping[str, Any], own: str) -> dict[str, Any]:
    """What the allow-list says of a model, whether or not it is here."""
    return {
        "family": str(facts.get("family", own)),
        "source": str(facts.get("source", "")),
        "revision": str(facts.get("revision", "")),
        "licence": str(facts.get("licence", "not known")),
        "download_mb": int(facts.get("size", 0)),
        "notes": str(facts.get("notes", "")),
        "gated": bool(facts.get("gated", False)),
    }


def without_files(name: str, facts: Mapping[str, Any], folder: Path, problem: str) -> ModelInfo:
    """A model that cannot be used: not here, or for the reason that `problem` gives."""
    return ModelInfo(
        name=name,
        title=str(facts.get("title", name)),
        folder=folder,
        available=False,
        n_layers=int(facts.get("layers", 0)),
        n_heads=int(facts.get("heads", 0)),
        d_model=0,
        d_head=0,
        d_mlp=0,
        n_ctx=int(facts.get("context", 0)),
        d_vocab=0,
        n_params=int(facts.get("parameters", 0)) * 1_000_000,
        normalization=None,
        kind=str(facts.get("format", "hf")),
        problem=problem,
        **_listed(facts, own="Your folder"),
    )


def _title(title: Any, name: str) -> str:
    """A title that is one short line of visible characters, else the folder's name."""
    fits = isinstance(title, str) and 0 < len(title) <= LONGEST_TITLE and title.isprintable()
    return str(title) if fits else name


def _checked_sizes(sizes: dict[str, Any]) -> dict[str, Any]:
    """Sizes from a config.json, if they are numbers that a model can have.

    Raises:
        ValueError: One is missing, not a whole number, or out of all bounds.
    """
    for key, value in sizes.items():
        most = MOST_HEADS if key in ("n_layers", "n_heads", "n_kv_heads") else MOST_WIDTH
        if type(value) is not int or not (key != "d_mlp") <= value <= most:
            raise ValueError(f"{key} is no size")
    return sizes


def _own_sizes(config: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    numbers = ("n_layers", "n_heads", "d_model", "d_head", "d_mlp", "n_ctx", "d_vocab")
    sizes = _checked_sizes({key: config[key] for key in numbers})
    choices = {
        "normalization": (None, "LN"),
        "positions": get_args(Positions),
        "act_fn": ("relu", "gelu", "gelu_new", "silu", "solu_ln"),
    }
    options = {"normalization": config["normalization"]}
    options |= {key: config[key] for key in ("positions", "act_fn") if key in config}
    for key, value in options.items():
        if value not in choices[key]:
            raise ValueError(f"{key} is not known")
    per_layer = 4 * sizes["n_heads"] * sizes["d_head"] + 2 * sizes["d_mlp"]
    rows = 2 * sizes["d_vocab"] + sizes["n_ctx"] + sizes["n_layers"] * per_layer
    # Not less than the matrices: what a file claims decides whether memory is asked for.
    n_params = max(int(config["n_params"]), rows * sizes["d_model"])
    longest = int(facts.get("context", sizes["n_ctx"]))
    if longest < sizes["n_ctx"]:
        sizes |= {"n_ctx": longest, "n_positions": sizes["n_ctx"]}
    return {"kind": "native", "n_params": n_params, **options, **sizes}


def _hugging_face_sizes(
    config: Mapping[str, Any], folder: Path, facts: Mapping[str, Any]
) -> dict[str, Any]:
    kind = config["model_type"]
    known = {
        "gpt2": _gpt2_sizes,
        "gpt_neox": _neox_sizes,
        **dict.fromkeys(("llama", "qwen2", "qwen3", "gemma2", "gemma3_text"), _llama_sizes),
    }
    if kind not in known:
        raise _Unsupported(
            f"{folder.name} is of a kind that is not supported; supported are {', '.join(known)}."
        )
    sizes = known[kind](config)
    _checked_sizes({key: value for key, value in sizes.items() if key != "positions"})
    longest = int(facts.get("context", DEFAULT_CONTEXT))
    # Qwen's files name a window and say that it is not used.
    slides = config.get("use_sliding_window", kind in ("gemma2", "gemma3_text"))
    window = int(config.get("sliding_window") or 0) if slides else 0
    return {
        **sizes,
        "kind": kind,
        "window": window,
        "normalization": "LN" if kind in ("gpt2", "gpt_neox") else "RMS",
        # Within the window every layer sees all, so what is defined by chance stays so.
        "n_ctx": min(sizes["n_ctx"], longest, window or longest),
        "n_params": _parameters(folder) or int(facts.get("parameters", 0)) * 1_000_000,
        "has_bos": _has_bos(folder),
    }


def _gpt2_sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    width, heads = config["n_embd"], config["n_head"]
    return {
        "n_layers": config["n_layer"],
        "n_heads": heads,
        "d_model": width,
        "d_head": width // heads,
        "d_mlp": config.get("n_inner") or 4 * width,
        "n_ctx": config["n_positions"],
        "d_vocab": config["vocab_size"],
        "positions": "learned",
    }


def _neox_sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    width, heads = config["hidden_size"], config["num_attention_heads"]
    return {
        "n_layers": config["num_hidden_layers"],
        "n_heads": heads,
        "d_model": width,
        "d_head": config.get("head_dim") or width // heads,
        "d_mlp": config["intermediate_size"],
        "n_ctx": config["max_position_embeddings"],
        "d_vocab": config["vocab_size"],
        "positions": "rotary",
    }


def _llama_sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_neox_sizes(config),
        "n_kv_heads": config.get("num_key_value_heads") or config["num_attention_heads"],
    }


def _has_bos(folder: Path) -> bool:
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        return bool(config.get("bos_token"))
    except _UNREADABLE:
        return True  # said by the tokenizer itself when it is loaded


def _parameters(folder: Path) -> int:
    """Numbers in the weights, from the headers of their files."""
    return sum(map(_numbers_in, folder.glob("*.safetensors")))


def _numbers_in(file: Path) -> int:
    try:
        with file.open("rb") as opened:
            # The format: the header's length in 8 bytes, then the header, which is JSON.
            size = min(int.from_bytes(opened.read(8), "little"), _MAX_HEADER)
            header = json.loads(opened.read(size))
        shapes = [value["shape"] for key, value in header.items() if key != "__metadata__"]
        # Older files also hold masks, one for each layer; weights have one or two dimensions.
        return sum(math.prod(shape) for shape in shapes if len(shape) <= 2)
    except (ValueError, KeyError, TypeError, AttributeError):
        return file.stat().st_size // 2  # damaged, which loading says; 2 bytes each at the least


def _own_problem(folder: Path) -> str:
    return "" if (folder / WEIGHTS).exists() else f"The weights {WEIGHTS} are missing or damaged."


def _problem(folder: Path) -> str:
    """Why the files of a Hugging Face folder cannot be loaded, or nothing."""
    name = folder.name
    index = folder / INDEX
    if index.exists():
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            files = {str(file) for file in weight_map.values()}
        except _UNREADABLE:
            return f"{name}: the list of its weight files is damaged. Copy the model anew."
        if any("/" in file or "\\" in file for file in files):
            return f"{name}: its list of weight files names files elsewhere, which are not read."
        missing = [file for file in files if not (folder / file).is_file()]
        if missing:
            return (
                f"{name} is only partly here: {len(missing)} of {len(files)} weight files are "
                "missing. Finish the download."
            )
        return ""
    if (folder / WEIGHTS).is_file():
        return ""
    if any(next(folder.glob(pattern), None) for pattern in _PICKLES):
        return (
            f"{name} keeps its weights in a pickle, which can run code when it is read. Only "
            "safetensors are read: save it again with safe_serialization."
        )
    return f"{name} has no {WEIGHTS}. Finish the download."
