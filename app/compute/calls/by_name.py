"""All questions that pages ask, by name: what a worker is asked."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from app.compute import calls
from app.compute.question import Question


@cache
def questions() -> dict[str, Question[..., Any]]:
    """Every question of `app.compute.calls`, by its name."""
    modules = (
        import_module(f"{calls.__name__}.{each.name}") for each in iter_modules(calls.__path__)
    )
    values = (value for module in modules for value in vars(module).values())
    return {each.name: each for each in values if isinstance(each, Question)}
