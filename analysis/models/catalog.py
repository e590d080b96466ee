"""Which models there are: the allow-list and the facts a page needs before any weights are loaded.

Free of torch, so that the first screen can show a model card at once. Nothing here reaches a
network: a model counts as here when its files are.
"""

import os
import re
import shutil
import tempfile
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.models.config import ADAPTER, read_info, without_files
from analysis.models.files import CONFIG, Stamp, is_regular, stamp
from analysis.models.home import at_home
from analysis.models.info import INDEX, WEIGHTS, ModelInfo

BUNDLED = Path(__file__).resolve().parents[2] / "models"
REGISTRY = Path(__file__).with_name("registry.toml")
# A folder of a user's own, with one Hugging Face folder for each model; see `list_models`.
OWN_MODELS = "HEADSCOPE_MODELS"
# Of which every Pythia model has a revision on the hub: `step0`, `step1`, `step2`, `step4`, ...
_PYTHIA_STEPS = (0, *(2**power for power in range(10)), *range(1000, 144_000, 1000))
# What sidebar, links and file names can show of the name of a user's folder.
_ODD, _LONGEST_NAME = re.compile(r"[^A-Za-z0-9._-]+"), 60
# Folders of a user's own that are looked at: a list of more helps nobody.
_MOST_FOLDERS = 2000
_CHECKPOINT = re.compile(r"step-([0-9]{1,8})\.safetensors")
_offered: tuple[str, ...] | None = None
# What models were found to be when they were loaded, with what their files said then; it holds as
# long as they say the same and stay.
_said: dict[Path, ModelInfo] = {}
_learnt: dict[Path, tuple[ModelInfo, Stamp, ModelInfo]] = {}
# Models that are in this process's memory and in no file, by name: see `models.in_memory`.
_in_memory: dict[str, ModelInfo] = {}


@cache
def list_models() -> tuple[ModelInfo, ...]:
    """The allow-list, then a user's own folders, in the order the picker shows them.

    What is in this process's memory stands before both.

    A model is found bundled, in the app's store (`store()`), in the folder that the environment
    variable HEADSCOPE_MODELS names, or in the hub's cache on this machine. `refresh` looks anew.
    A folder that cannot be read is listed with the reason (`ModelInfo.problem`).
    """
    entries = registry()
    if _offered is not None:
        return tuple(_of_entry(name, entries[name]) for name in _offered)
    found = [_of_entry(name, entry) for name, entry in entries.items()]
    held = tuple(_in_memory.values())
    own = [_read(folder, None, name) for name, folder in _own_models() if name not in entries]
    return (*held, *found, *own)


def offer_only(names: Sequence[str], downloads: bool = False) -> None:
    """List and load only these models of the allow-list from now on, in this order.

    With `downloads` all but the first, which every page can open, may still have to come.

    Raises:
        AnalysisError: A name that the allow-list lacks, or a model that is not here.
    """
    global _offered
    refresh()
    entries = registry()
    for name in names:
        if name not in entries:
            raise AnalysisError(f"There is no model {name!r}; there are {', '.join(entries)}.")
        info = _of_entry(name, entries[name])
        if not info.available and not (downloads and info.downloadable and name != names[0]):
            raise AnalysisError(f"The model {name!r} is not on this machine.")
    _offered = tuple(names)
    refresh()


def offer_in_memory(info: ModelInfo) -> None:
    """List a model that is in this process's memory, before all others.

    Raises:
        AnalysisError: A name that no link can hold, or that another model has.
    """
    if _name_of(info.name) != info.name:
        raise AnalysisError(
            f"{info.name!r} is no name for a model: up to {_LONGEST_NAME} letters, digits, dots, "
            "dashes and underscores are."
        )
    if info.name in {each.name for each in list_models()}:
        raise AnalysisError(f"There is a model {info.name!r} already. Choose another name.")
    _in_memory[info.name] = info
    refresh()


def withdraw(name: str) -> None:
    """List a model that is in memory no longer."""
    _in_memory.pop(name, None)
    refresh()


def offer_everything() -> None:
    """List the whole allow-list and a user's own folders again."""
    global _offered
    _offered = None
    refresh()


def refresh() -> None:
    """Look for files again, after some have come or gone."""
    list_models.cache_clear()
    _own_models.cache_clear()


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
    said = f"There is no model of that name here. Pick one of: {allowed}."
    raise AnalysisError(" ".join(filter(None, (said, own_folder_problem()))))


def find_folder(path: Path) -> ModelInfo:
    """The allowed model whose files are in the folder `path`.

    Raises:
        AnalysisError: No listed model lies there, or its files are not usable (it says why).
    """
    for info in list_models():
        if _same_folder(path, info.folder):
            return find_model(info.name)
    raise AnalysisError(
        "That path is not the folder of a listed model, and only listed models can be loaded. Put "
        f"the folder into the one that {OWN_MODELS} names."
    )


def _same_folder(path: Path, folder: Path) -> bool:
    try:
        return path.resolve() == folder.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, NUL or a lone surrogate
        return False


def folder_name(info: ModelInfo) -> str:
    """The folder of a model as a notebook looks for it: below the folder of a user's own."""
    root = _own_root()
    below = root is not None and root != info.folder and root in info.folder.parents
    return str(info.folder.relative_to(root)) if root and below else info.folder.name


def own_folder_problem() -> str:
    """Why HEADSCOPE_MODELS brings no models, as a sentence; empty where it does or is not set."""
    root = _own_root()
    if root is None:
        return ""
    if not root.is_dir():
        return (
            f"{OWN_MODELS} names a folder that is not there. Set it to the folder that your "
            "models' folders are in."
        )
    if not _own_models():
        return f"The folder that {OWN_MODELS} names holds no folder of a model. Put one there."
    return ""


def learn(info: ModelInfo) -> None:
    """List a model from now on as it was found to be when it was loaded."""
    if info.step is None and info.weights in _said:
        _learnt[info.weights] = _said[info.weights], stamp(info), info
        refresh()


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
    return (Path(base) if base else at_home("~/.cache")) / "headscope"


def _of_entry(name: str, entry: Mapping[str, Any]) -> ModelInfo:
    for folder in _places(name, entry):
        if os.path.lexists(folder / CONFIG):
            return _read(folder, entry, name)
    return without_files(name, entry, store() / "models" / name, "")


def _read(folder: Path, entry: Mapping[str, Any] | None, name: str) -> ModelInfo:
    try:
        info = read_info(folder, entry, name)
    except Exception as error:  # whatever else a folder does: the others are still listed
        reason = f"The folder of {name} cannot be read ({type(error).__name__}). Copy it anew."
        return without_files(name, entry or {}, folder, reason)
    _said[info.weights] = info
    known = _learnt.get(info.weights)
    return known[2] if known and known[:2] == (info, stamp(info)) else info


def _places(name: str, entry: Mapping[str, Any]) -> Iterator[Path]:
    yield BUNDLED / name
    yield store() / "models" / name
    yield from (folder for own, folder in _own_models() if own == name)
    if entry["format"] == "hf":
        yield from _hub_cache(str(entry["source"]))


def _own_root() -> Path | None:
    named = os.environ.get(OWN_MODELS)
    try:
        return Path(named).expanduser() if named else None
    except RuntimeError:  # ~somebody, who has no home
        return None


@cache
def _own_models() -> list[tuple[str, Path]]:
    """A user's own folders by the names that they have here, in the order of their own names.

    HEADSCOPE_MODELS may also name a model's folder itself; and as on a hub a folder may hold those
    of several models.
    """
    root = _own_root()
    if root is None:
        return []
    if _holds_model(root):
        return [(_name_of(root.resolve().name), root)]
    found: dict[str, Path] = {}
    for folder in _folders_in(root):
        inner = [] if _holds_model(folder) else [f for f in _folders_in(folder) if _holds_model(f)]
        named = [(f"{folder.name}-{each.name}", each) for each in inner]
        if not named and (_holds_model(folder) or _name_of(folder.name) == folder.name):
            named = [(folder.name, folder)]
        for wanted, each in named:
            name = _name_of(wanted)
            # Two folders whose names differ in what no name here can hold.
            number = next(n for n in range(1, len(found) + 2) if _numbered(name, n) not in found)
            found[_numbered(name, number)] = each
    return list(found.items())


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name[: _LONGEST_NAME - 5]}-{number}"


def _folders_in(root: Path) -> list[Path]:
    try:
        there = [each for each in root.iterdir() if not each.name.startswith(".")]
        return [each for each in sorted(there)[:_MOST_FOLDERS] if each.is_dir()]
    except OSError:  # not ours to read, or gone
        return []


def _holds_model(folder: Path) -> bool:
    return any(is_regular(folder / name) for name in (CONFIG, ADAPTER, WEIGHTS, INDEX))


def _name_of(folder: str) -> str:
    """What a folder is called here: without accents, and with a dash for what links cannot hold."""
    plain = unicodedata.normalize("NFKD", folder)
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return _ODD.sub("-", plain).strip("-._")[:_LONGEST_NAME] or "model"


def _hub_cache(source: str) -> list[Path]:
    """Snapshots of a repository that the hub's own client has left on this machine."""
    home = Path(os.environ.get("HF_HOME", at_home("~/.cache/huggingface")))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    return _folders_in(hub / f"models--{source.replace('/', '--')}" / "snapshots")
