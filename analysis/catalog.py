"""Which models there are: the allow-list and the facts a page needs before any weights are loaded.

Free of torch, so that the first screen can show a model card at once. Nothing here reaches a
network: a model counts as here when its files are.
"""

import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from analysis.errors import AnalysisError

BUNDLED = Path(__file__).resolve().parent.parent / "models"
REGISTRY = Path(__file__).with_name("registry.toml")
# A folder of a user's own, with one Hugging Face folder for each model; see `list_models`.
OWN_MODELS = "HEADSCOPE_MODELS"
# float32 weights, and half as much again while they are read and for the largest results.
BYTES_PER_PARAMETER = 4 * 1.5
# Tokens that a model in a user's own folder is run on at most.
DEFAULT_CONTEXT = 512
# Beside the weights of a download: the repository and the commit that they came from.
ORIGIN = "origin.json"
# Of which every Pythia model has a revision on the hub: `step0`, `step1`, `step2`, `step4`, ...
_PYTHIA_STEPS = (0, *(2**power for power in range(10)), *range(1000, 144_000, 1000))
_OWN_GROUPS, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_MAX_HEADER = 16 * 2**20
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# As sidebar, links and file names show it; a folder of another name is left out.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_CHECKPOINT = re.compile(r"step-([0-9]{1,8})\.safetensors")
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

Positions = Literal["learned", "rotary", "shortformer"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Sizes of a model and where its files are; `available` when they are here and complete.

    `positions`: learned vectors added to the stream, rotary, or shortformer (learned vectors that
    only queries and keys see). `problem` says why files that are here cannot be used. Of a model
    that is not here, `d_model`, `d_head`, `d_mlp` and `d_vocab` are 0: not known. `n_ctx` is the
    most tokens that it is run on here, `n_positions` of how many a native model has vectors where
    that is more.
    """

    name: str
    title: str
    folder: Path
    available: bool
    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    n_ctx: int
    d_vocab: int
    n_params: int
    normalization: str | None
    family: str = "Headscope"
    kind: str = "native"  # native, or Hugging Face's name of the architecture
    positions: Positions = "learned"
    n_kv_heads: int = 0  # 0: each head has its own keys and values
    has_bos: bool = True
    window: int = 0  # tokens that some layers see back at most; 0: every layer sees all
    act_fn: str = "gelu"
    n_positions: int = 0
    source: str = ""
    revision: str = ""
    licence: str = "MIT"
    download_mb: int = 0
    notes: str = ""
    problem: str = ""
    gated: bool = False  # a hub hands it out only to accounts that have accepted its licence
    commit: str = ""  # of the source that the files were fetched from; empty: not known
    step: int | None = None  # of a checkpoint of its training; None: the finished model

    @property
    def has_mlp(self) -> bool:
        """Whether blocks hold an MLP besides attention."""
        return self.d_mlp > 0

    @property
    def weights(self) -> Path:
        """The file that its weights are in, or where they are in several, the list of those."""
        if self.step is not None:
            return self.folder / "checkpoints" / f"step-{self.step:06d}.safetensors"
        index = self.folder / _INDEX
        return index if index.exists() else self.folder / _WEIGHTS

    @property
    def weight_bytes(self) -> int:
        """Bytes of its float32 weights, roughly."""
        return 4 * self.n_params

    @property
    def memory_bytes(self) -> int:
        """Main memory that working with the model takes, roughly."""
        return int(self.n_params * BYTES_PER_PARAMETER)

    @property
    def fits(self) -> bool:
        """Whether this machine has the memory for it."""
        return self.memory_bytes <= machine_memory()

    @property
    def downloadable(self) -> bool:
        """Whether its files are not here, and a hub hands them out to everybody."""
        return bool(self.source) and not self.gated and not self.available


_offered: tuple[str, ...] | None = None


@cache
def list_models() -> tuple[ModelInfo, ...]:
    """The allow-list, then a user's own folders, in the order the picker shows them.

    A model is found bundled, in the app's store (`store()`), in the folder that the environment
    variable HEADSCOPE_MODELS names, or in the hub's cache on this machine. `refresh` looks anew.
    """
    entries = registry()
    if _offered is not None:
        return tuple(_of_entry(name, entries[name]) for name in _offered)
    found = [_of_entry(name, entry) for name, entry in entries.items()]
    own = [folder for folder in _own_folders() if folder.name not in entries]
    return (*found, *(read_info(folder) for folder in own))


def offer_only(names: Sequence[str], downloads: bool = False) -> None:
    """List and load only these models of the allow-list from now on, in this order.

    With `downloads` all but the first, which every page can open, may still have to come.

    Raises:
        AnalysisError: A name that the allow-list lacks, or a model that is not here.
    """
    global _offered
    entries = registry()
    for name in names:
        if name not in entries:
            raise AnalysisError(f"There is no model {name!r}; there are {', '.join(entries)}.")
        info = _of_entry(name, entries[name])
        if not info.available and not (downloads and info.downloadable and name != names[0]):
            raise AnalysisError(f"The model {name!r} is not on this machine.")
    _offered = tuple(names)
    refresh()


def offer_everything() -> None:
    """List the whole allow-list and a user's own folders again."""
    global _offered
    _offered = None
    refresh()


def refresh() -> None:
    """Look for files again, after some have come or gone."""
    list_models.cache_clear()


def available_models() -> tuple[ModelInfo, ...]:
    """The models that can be loaded now."""
    return tuple(info for info in list_models() if info.available)


def find_model(name: str) -> ModelInfo:
    """The allowed model called `name` whose files are here.

    `attn-only-2l@1221` is the checkpoint of that model at that step of its training.

    Raises:
        AnalysisError: An unknown name (the sentence lists those that are here), or a model whose
            files are not here or not usable (it says why).
    """
    model, at, step = name.partition("@")
    for info in list_models():
        if info.name != model:
            continue
        if not info.available:
            raise AnalysisError(info.problem or f"{info.name} is not on this machine.")
        if not at:
            return info
        # As text: of all the ways to write a number only one is a name.
        if step in map(str, checkpoints(info)):
            return checkpoint(info, int(step))
    allowed = ", ".join(info.name for info in available_models())
    raise AnalysisError(f"There is no model of that name here. Pick one of: {allowed}.")


def checkpoints(info: ModelInfo) -> tuple[int, ...]:
    """The steps of a model's training whose weights are here, first to last."""
    files = (info.folder / "checkpoints").glob("step-*.safetensors")
    named = (_CHECKPOINT.fullmatch(file.name) for file in files)
    return tuple(sorted(int(match[1]) for match in named if match))


def checkpoint(info: ModelInfo, step: int) -> ModelInfo:
    """A model as it was at one of `checkpoints(info)`; `info` may itself be a checkpoint."""
    finished = finished_model(info)
    title = f"{finished.title}, step {step:,}"
    return replace(finished, name=f"{finished.name}@{step}", title=title, step=step)


def published_steps(info: ModelInfo) -> tuple[int, ...]:
    """The steps of a model's training that its authors publish; the last is the finished model."""
    entry = registry().get(info.name.partition("@")[0], {})
    return _PYTHIA_STEPS if entry.get("family") == "Pythia" else ()


def finished_model(info: ModelInfo) -> ModelInfo:
    """The model that a checkpoint led to; any other model is one itself."""
    return info if info.step is None else find_model(info.name.partition("@")[0])


def fingerprint(info: ModelInfo) -> str:
    """What tells weights and tokenizer from all others: it changes with any of their bytes."""
    digest = hashlib.sha256()
    parts = sorted(info.folder.glob("model-*.safetensors"))
    for path in (
        info.folder / "config.json",
        info.weights,
        *parts,
        info.folder / "tokenizer.json",
    ):
        if path.is_file():  # tokenizers come in other files too
            with path.open("rb") as file:
                while chunk := file.read(2**20):
                    digest.update(chunk)
    return digest.hexdigest()[:16]


@contextmanager
def new_folder(name: str) -> Iterator[Path]:
    """A model's folder that stands in the store once it is complete, in place of an older one."""
    models = store() / "models"
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".unfinished-") as aside:
        made = Path(aside) / name
        made.mkdir()
        yield made
        shutil.rmtree(models / name, ignore_errors=True)
        made.rename(models / name)
    refresh()


@cache
def registry() -> Mapping[str, Mapping[str, Any]]:
    """The allow-list as it is written, by name."""
    return tomllib.loads(REGISTRY.read_text(encoding="utf-8"))


def store() -> Path:
    """Where downloaded and converted models and kept results are: a cache of this user's."""
    if own := os.environ.get("HEADSCOPE_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "headscope"


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
        return _without_files(folder.name, facts, folder, str(refusal))
    except _UNREADABLE:
        reason = f"The config.json of {folder.name} is missing or damaged. Copy the model anew."
        return _without_files(folder.name, facts, folder, reason)
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
        return _without_files(folder.name, facts, folder, f"{reason} Choose a smaller model.")
    return info


@cache
def machine_memory() -> int:
    """Main memory of this machine, or what the container that this runs in may take; bytes."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_memory_limits()])


def _memory_limits() -> Iterator[int]:
    """The limits of the control groups that this process is in, where they have any."""
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:  # number:controllers:path; version 2 names no controllers
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, file = _GROUPS / "memory", "memory.limit_in_bytes"
        elif not controllers:
            root, file = _GROUPS, "memory.max"
        else:
            continue
        group = Path(path.lstrip("/"))
        for each in (group, *group.parents):  # a group lies within the limits of those above it
            with suppress(OSError):
                limit = (root / each / file).read_text(encoding="utf-8").strip()
                if limit.isdecimal():  # "max" where there is none
                    yield int(limit)


class _Unsupported(ValueError):
    """A kind of model that is not analysed; the message says so."""


def _of_entry(name: str, entry: Mapping[str, Any]) -> ModelInfo:
    for folder in _places(name, entry):
        if (folder / "config.json").exists():
            info = read_info(folder, entry)
            # The hub's cache calls its folders by revision.
            return info if info.name == name else _renamed(info, name)
    return _without_files(name, entry, store() / "models" / name, "")


def _renamed(info: ModelInfo, name: str) -> ModelInfo:
    return replace(info, name=name, problem=info.problem.replace(info.name, name))


def _places(name: str, entry: Mapping[str, Any]) -> Iterator[Path]:
    yield BUNDLED / name
    yield store() / "models" / name
    yield from (folder for folder in _own_folders() if folder.name == name)
    if entry["format"] == "hf":
        yield from _hub_cache(str(entry["source"]))


def _own_folders() -> list[Path]:
    root = os.environ.get(OWN_MODELS)
    if not root or not Path(root).is_dir():
        return []
    return sorted(f for f in Path(root).iterdir() if f.is_dir() and _NAME.fullmatch(f.name))


def _hub_cache(source: str) -> list[Path]:
    """Snapshots of a repository that the hub's own client has left on this machine."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    snapshots = hub / f"models--{source.replace('/', '--')}" / "snapshots"
    return sorted(snapshots.iterdir()) if snapshots.is_dir() else []


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


def _without_files(name: str, facts: Mapping[str, Any], folder: Path, problem: str) -> ModelInfo:
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
    return "" if (folder / _WEIGHTS).exists() else f"The weights {_WEIGHTS} are missing or damaged."


def _problem(folder: Path) -> str:
    """Why the files of a Hugging Face folder cannot be loaded, or nothing."""
    name = folder.name
    index = folder / _INDEX
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
    if (folder / _WEIGHTS).is_file():
        return ""
    if any(next(folder.glob(pattern), None) for pattern in _PICKLES):
        return (
            f"{name} keeps its weights in a pickle, which can run code when it is read. Only "
            "safetensors are read: save it again with safe_serialization."
        )
    return f"{name} has no {_WEIGHTS}. Finish the download."
