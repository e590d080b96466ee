"""Views and subjects for tests, without a session."""

from types import MappingProxyType

from analysis.models.catalog import find_model
from app.links.parameters import PARAMETERS
from app.links.parsers import Value
from app.links.selection import Selection
from app.links.subject import Subject


def view(page: str = "attention", **values: Value) -> Selection:
    """A page at its defaults, but for some values."""
    model = values.get("model")
    chosen = {p.key: p.default_on(page, model) for p in PARAMETERS} | values
    return Selection(page, MappingProxyType(chosen), find_model(str(chosen["model"])))


def subject(prompt: str = "The cat sat.", **about) -> Subject:  # noqa: ANN003
    """What a figure on a prompt is about."""
    return Subject(view(prompt=prompt, input="prompt"), **about)
