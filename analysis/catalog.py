"""Which models there are: the allow-list and the facts a page needs before any weights are loaded.

Free of torch, so that the first screen can show a model card at once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
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

    @property
    def has_mlp(self) -> bool:
        """Whether blocks hold an MLP besides attention."""
        return self.d_mlp > 0


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
    """The allowed model called `name`; AnalysisError, listing the allowed ones, otherwise."""
    for info in list_models():
        if info.name == name:
            return info
    allowed = ", ".join(info.name for info in list_models())
    raise AnalysisError(f"There is no model of that name here. Pick one of: {allowed}.")


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
