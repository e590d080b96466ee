"""Which models there are: the allow-list and the facts a page needs before any weights are loaded.

Free of torch, so that the first screen can show a model card at once. Nothing here reaches a
network: a model counts as here when its files are.
"""

import hashlib
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.models.config import read_info, without_files
from analysis.models.info import ModelInfo

BUNDLED = Path(__file__).resolve().parents[2] / "models"
REGISTRY = Path(__file__).with_name("registry.toml")
# A folder of a user's own, with one Hugging Face folder for each model; see `list_models`.
OWN_MODELS = "HEADSCOPE_MODELS"
# Of which every Pythia model has a revision on the hub: `step0`, `step1`, `step2`, `step4`, ...
_PYTHIA_STEPS = (0, *(2**power for power in range(10)), *range(1000, 144_000, 1000))
# As sidebar, links and file names show it; a folder of another name is left out.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_CHECKPOINT = re.compile(r"step-([0-9]{1,8})\.safetensors")
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


def _of_entry(name: str, entry: Mapping[str, Any]) -> ModelInfo:
    for folder in _places(name, entry):
        if (folder / "config.json").exists():
            info = read_info(folder, entry)
            # The hub's cache calls its folders by revision.
            return info if info.name == name else _renamed(info, name)
    return without_files(name, entry, store() / "models" / name, "")


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
