"""The view a person has chosen, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from analysis.models.catalog import available_models, find_model
from analysis.models.info import ModelInfo
from app.links.parsers import Value


@dataclass(frozen=True, slots=True)
class Selection:
    """The checked view: what to run, on what, and what to look at."""

    page: str
    values: Mapping[str, Value]
    info: ModelInfo

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def bos(self) -> bool:
        """Whether a prompt begins with BOS: as chosen, where the model has such a token."""
        return bool(self.values["bos"]) and self.info.has_bos

    def with_values(self, **values: Value) -> "Selection":
        """A view beside this one: what to run instead, without a link of its own."""
        changed = MappingProxyType({**self.values, **values})
        return Selection(self.page, changed, find_model(str(changed["model"])))


def second_model(values: Mapping[str, Value], info: ModelInfo) -> ModelInfo:
    """The model that `layer2` and `head2` are about: another one only where two are compared."""
    others = [other for other in available_models() if other.name != info.name]
    if values["by"] != "model" or not others:
        return info
    return next((other for other in others if other.name == values["model2"]), others[0])
