"""Which models there are: the allow-list and the facts a page needs before any weights are loaded.

Free of torch, so that the first screen can show a model card at once.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from analysis.errors import AnalysisError

BUNDLED = Path(__file__).resolve().parent.parent / "models"
# The only names `load_model` accepts: each is a folder of `models/` with safetensors weights.
ALLOWED = ("attn-only-2l", "gelu-4l")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Sizes of a model and where its files are; `available` when they are on this machine."""

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
    step: int | None = None  # of a checkpoint of its training; None: the finished model

    @property
    def has_mlp(self) -> bool:
        """Whether blocks hold an MLP besides attention."""
        return self.d_mlp > 0

    @property
    def weights(self) -> Path:
        """The file that its weights are in."""
        if self.step is None:
            return self.folder / "model.safetensors"
        return self.folder / "checkpoints" / f"step-{self.step:06d}.safetensors"


_offered: tuple[str, ...] = ALLOWED


@cache
def list_models() -> tuple[ModelInfo, ...]:
    """The models of the allow-list that are here, in the order the picker shows them."""
    folders = (BUNDLED / name for name in _offered)
    return tuple(read_info(folder) for folder in folders if folder.is_dir())


def offer_only(names: Sequence[str]) -> None:
    """List and load only these models of the allow-list from now on, in this order.

    Raises:
        AnalysisError: A name that the allow-list lacks, or a model that is not here.
    """
    global _offered
    for name in names:
        if name not in ALLOWED or not (BUNDLED / name).is_dir():
            raise AnalysisError(f"There is no model {name!r}; there are {', '.join(ALLOWED)}.")
    _offered = tuple(names)
    list_models.cache_clear()


def find_model(name: str) -> ModelInfo:
    """The allowed model called `name`; AnalysisError, listing the allowed ones, otherwise.

    `attn-only-2l@1221` is the checkpoint of that model at that step of its training.
    """
    model, at, step = name.partition("@")
    for info in list_models():
        if info.name == model and not at:
            return info
        # As text: of all the ways to write a number only one is a name.
        if info.name == model and step in map(str, checkpoints(info)):
            return checkpoint(info, int(step))
    allowed = ", ".join(info.name for info in list_models())
    raise AnalysisError(f"There is no model of that name here. Pick one of: {allowed}.")


def checkpoints(info: ModelInfo) -> tuple[int, ...]:
    """The steps of a model's training whose weights are here, first to last."""
    files = (info.folder / "checkpoints").glob("step-*.safetensors")
    return tuple(sorted(int(file.stem.removeprefix("step-")) for file in files))


def checkpoint(info: ModelInfo, step: int) -> ModelInfo:
    """A model as it was at one of `checkpoints(info)`; `info` may itself be a checkpoint."""
    finished = finished_model(info)
    title = f"{finished.title}, step {step:,}"
    return replace(finished, name=f"{finished.name}@{step}", title=title, step=step)


def finished_model(info: ModelInfo) -> ModelInfo:
    """The model that a checkpoint led to; any other model is one itself."""
    return info if info.step is None else find_model(info.name.partition("@")[0])


def read_info(folder: Path) -> ModelInfo:
    """The model in `folder`, from its config.json."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    sizes = {
        key: config[key]
        for key in (
            "n_layers",
            "n_heads",
            "d_model",
            "d_head",
            "d_mlp",
            "n_ctx",
            "d_vocab",
            "n_params",
        )
    }
    return ModelInfo(
        name=folder.name,
        title=config["title"],
        folder=folder,
        available=(folder / "model.safetensors").exists(),
        normalization=config["normalization"],
        **sizes,
    )


def fingerprint(info: ModelInfo) -> str:
    """What tells weights and tokenizer from all others: it changes with any of their bytes."""
    digest = hashlib.sha256()
    for file in (info.folder / "config.json", info.weights, info.folder / "tokenizer.json"):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
