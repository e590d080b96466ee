"""The view a person has chosen, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from analysis.models.catalog import available_models, find_model
from analysis.models.info import ModelInfo
from app.links.pages import page_info
from app.links.parsers import Value
from app.text import display_text

_LONGEST_SAID = 120


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

    @property
    def over_set(self) -> bool:
        """Whether it is about a set of prompts, and not about one input."""
        page = page_info(self.page)
        return page.asks == "set" or (page.over_sets and self["input"] == "set")

    @property
    def input_said(self) -> str:
        """What the model is run on, in words; a long prompt is cut."""
        if self.over_set:
            return f"set of prompts “{self['set']}”"
        if page_info(self.page).asks == "prompts":
            return f"clean {_said(self['clean'])}, corrupt {_said(self['corrupt'])}"
        return said_input(self.values)

    def with_values(self, **values: Value) -> "Selection":
        """A view beside this one: what to run instead, without a link of its own."""
        changed = MappingProxyType({**self.values, **values})
        return Selection(self.page, changed, find_model(str(changed["model"])))


def said_input(values: Mapping[str, Value]) -> str:
    """A prompt, a conversation or repeated tokens in words; a long text is cut."""
    if values["input"] == "prompt":
        return _said(str(values["prompt"]))
    if values["input"] == "chat":
        return _said(str(values["chat"]), "conversation")
    rows = f"{values['batch']} × " if int(values["batch"] or 1) > 1 else ""
    return f"{rows}BOS and {values['length']} random tokens twice, seed {values['seed']}"


def _said(prompt: str, what: str = "prompt") -> str:
    text = display_text(prompt)
    cut = text if len(text) <= _LONGEST_SAID else f"{text[:_LONGEST_SAID]}…"
    return f"{what} “{cut}”"


def second_model(values: Mapping[str, Value], info: ModelInfo) -> ModelInfo:
    """The model that `layer2` and `head2` are about: another one only where two are compared."""
    others = [
        other for other in available_models() if other.name != info.name and not other.bidirectional
    ]
    if values["by"] != "model" or not others:
        return info
    return next((other for other in others if other.name == values["model2"]), others[0])
