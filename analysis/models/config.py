"""Reading a model's facts from its folder, before any weights are loaded. Free of torch."""

import math
import re
from collections.abc import Mapping
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from analysis.models.files import (
    CONFIG,
    UNREADABLE,
    header,
    indexed_parts,
    is_regular,
    pointer_problem,
    read_json,
    read_object,
)
from analysis.models.info import INDEX, WEIGHTS, ModelInfo, machine_memory
from analysis.models.sizes import Refused, context, hugging_face_sizes, native_sizes
from analysis.models.template import has_template
from analysis.models.tokens import END, named_bos

# Beside the weights of a download: the repository and the commit that they came from.
ORIGIN = "origin.json"
ADAPTER = "adapter_config.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
LONGEST_TITLE = 80


def read_info(
    folder: Path, entry: Mapping[str, Any] | None = None, name: str | None = None
) -> ModelInfo:
    """The model in `folder`, from its files; `problem` says what is wrong with them.

    Args:
        folder: Where it is.
        entry: What the allow-list says of it.
        name: What it is called; by default as its folder.
    """
    name, facts = name or folder.name, dict(entry or {})
    longest = int(facts["context"]) if "context" in facts else None
    try:
        config = _config(folder, name)
        hugging_face = "model_type" in config
        sizes = (hugging_face_sizes if hugging_face else native_sizes)(config, name, longest)
        problem = _problem(folder, name)
        if hugging_face and not problem:
            sizes["n_params"] = _parameters(folder)
    except Refused as refusal:
        return without_files(name, facts, folder, str(refusal))
    named = named_bos(folder, sizes["kind"])
    sizes["start"] = named if hugging_face else named or END
    if hugging_face:
        sizes["has_bos"] = bool(named)
        sizes["has_chat"] = has_template(folder)
        sizes.setdefault("n_params", int(facts.get("parameters", 0)) * 1_000_000)
    info = ModelInfo(
        name=name,
        title=_title(facts.get("title", config.get("title")), name),
        folder=folder,
        available=not problem,
        problem=problem,
        commit=_commit(folder),
        **_listed(facts, own="Your folder" if hugging_face else "Headscope"),
        **sizes,
    )
    if info.available and not info.fits:
        needed, there = info.memory_bytes / 2**30, machine_memory() / 2**30
        reason = f"{name} needs about {needed:.1f} GB of memory; this machine has {there:.1f}."
        return without_files(name, facts, folder, f"{reason} Choose a smaller model.")
    return info


def _config(folder: Path, name: str) -> dict[str, Any]:
    """What config.json holds.

    Raises:
        Refused: It is not there or no JSON object.
    """
    file = folder / CONFIG
    if not is_regular(file):
        if is_regular(folder / ADAPTER):
            raise Refused(_adapter(folder, name))
        raise Refused(f"{name} has no file {CONFIG}. Copy it there, or choose another model.")
    try:
        config = read_json(file)
    except UNREADABLE as error:
        told = isinstance(error, OSError | ValueError) and not isinstance(error, JSONDecodeError)
        why = (f"{error}" if told else "it is not JSON")[:120]
        raise Refused(
            f"The {CONFIG} of {name} cannot be read ({_printable(why)}). Copy it anew."
        ) from error
    if not isinstance(config, dict):
        raise Refused(f"The {CONFIG} of {name} holds no JSON object. Copy it anew.")
    if "model_type" in config and not isinstance(config["model_type"], str):
        raise Refused(f"The {CONFIG} of {name} gives a model_type that is no text. Copy it anew.")
    return config


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _adapter(folder: Path, name: str) -> str:
    given = read_object(folder / ADAPTER)
    base, kind = given.get("base_model_name_or_path"), given.get("peft_type")
    of = f" of {base}" if isinstance(base, str) and re.fullmatch(r"[\w./-]{1,80}", base) else ""
    what = f"{kind} adapter" if isinstance(kind, str) and kind.isalnum() else "adapter"
    return (
        f"{name} holds the {what}{of} ({ADAPTER}) and no model. Merge it into its base with "
        "merge_and_unload and save that."
    )


def _commit(folder: Path) -> str:
    """The commit that a folder is from: as noted at the download, or by the hub's own cache."""
    noted = read_object(folder / ORIGIN).get("commit")
    if noted is None:
        noted = folder.name if folder.parent.name == "snapshots" else ""
    return noted if isinstance(noted, str) and re.fullmatch("[0-9a-f]{40}", noted) else ""


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
    own, heads = int(facts.get("context", 0)), int(facts.get("heads", 0))
    # Its vocabulary, which is not known before it is here, may shorten it further.
    n_ctx, shorter = context(own, 0, None, heads, 1) if own and heads else (own, "")
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
        n_ctx=n_ctx,
        shorter=shorter,
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


def _parameters(folder: Path) -> int:
    """Numbers in the weights, from the headers of the files that are loaded and no others."""
    names = [WEIGHTS] if is_regular(folder / WEIGHTS) else indexed_parts(folder)
    return sum(_numbers_in(folder / name) for name in names)


def _numbers_in(file: Path) -> int:
    try:
        # Older files also hold masks of four dimensions, one for each layer.
        shapes = [shape for shape in header(file).values() if len(shape) <= 3]
    except UNREADABLE:
        return file.stat().st_size // 2  # loading says why; 2 bytes each at the least
    return sum(map(math.prod, shapes))


def _problem(folder: Path, name: str) -> str:
    """Why the weights in a folder cannot be loaded, or nothing."""
    if is_regular(folder / WEIGHTS):
        return pointer_problem(folder / WEIGHTS, name)
    if not is_regular(folder / INDEX):
        return _instead_of_weights(folder, name)
    try:
        files = indexed_parts(folder)
    except UNREADABLE:
        return f"{name}: the list of its weight files, {INDEX}, cannot be read. Copy it anew."
    if any("/" in file or "\\" in file or file in ("", ".", "..") for file in files):
        return f"{name}: its list of weight files names files elsewhere, which are not read."
    missing = [file for file in files if not is_regular(folder / file)]
    if missing:
        return (
            f"{name} is only partly here: {len(missing)} of {len(files)} weight files are "
            "missing. Finish the download."
        )
    return next(filter(None, (pointer_problem(folder / file, name) for file in files)), "")


def _instead_of_weights(folder: Path, name: str) -> str:
    """Why a folder that holds no weights of that name cannot be loaded."""
    if any(next(folder.glob(pattern), None) for pattern in _PICKLES):
        return (
            f"{name} keeps its weights in a pickle, which can run code when it is read. Only "
            "safetensors are read: save it again with safe_serialization."
        )
    if next(folder.glob("*.gguf"), None):
        return (
            f"{name} keeps its weights as GGUF, quantised for llama.cpp. Choose the model that it "
            "was made from, in safetensors."
        )
    if other := sorted(file.name for file in folder.glob("*.safetensors") if is_regular(file)):
        return (
            f"{name} has no file {WEIGHTS}, which is the one that is read; there is "
            f"{_printable(other[0])[:80]}. If that holds the model's weights, give it that name."
        )
    return f"{name} has no file {WEIGHTS}. Finish the download."
