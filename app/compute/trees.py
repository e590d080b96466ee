"""A result as JSON with its arrays beside it, and back: what comes from bytes may hold anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

import analysis
from analysis.definitions import QUANTITIES
from app.compute.kinds import require_kinds

NUMBERS = "biufc"  # of numbers, as numpy names them
# The only classes that are made from a file.
TYPES = frozenset({"Head", *(name for quantity in QUANTITIES for name in quantity.results)})
# Values of one kind from which on they are written as columns: the edges of a large model are
# hundreds of thousands of objects, and the numbers in them a few arrays.
MANY = 64
# Numbers of columns that are made Python's own, of a whole result: 1,024 heads have 5 million.
MAX_MANY = 2**23


class Unstorable(TypeError):
    """A value of a type that is not kept."""


def tree_of(value: Any, arrays: dict[str, np.ndarray], more: Mapping[str, type]) -> Any:
    """A value as JSON, with its arrays put aside by name."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in NUMBERS:
            raise Unstorable
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if _is_known(type(value), more):
        inner = {f.name: tree_of(getattr(value, f.name), arrays, more) for f in fields(value)}
        return {"type": type(value).__name__, "fields": inner}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: tree_of(inner, arrays, more) for key, inner in value.items()}}
    if isinstance(value, tuple):
        if len(value) >= MANY and (columns := _columns(value, arrays, more)) is not None:
            return columns
        return {"tuple": [tree_of(inner, arrays, more) for inner in value]}
    if value is None or type(value) in (str, int, float, bool):
        return {"plain": value}
    raise Unstorable


def _is_known(made: type, more: Mapping[str, type]) -> bool:
    """Whether `value_of` makes a class again."""
    name = made.__name__
    return is_dataclass(made) and (name in TYPES or more.get(name) is made)


def _columns(
    values: tuple[Any, ...], arrays: dict[str, np.ndarray], more: Mapping[str, type]
) -> Any:
    """Many values of one class: numbers as an array, others field by field; None for other ones."""
    made = {type(value) for value in values}
    if len(made) > 1:
        return None
    (one,) = made
    if one is str:
        return {"texts": list(values)}
    if one in (int, float):
        try:
            numbers = np.array(values, np.int64 if one is int else np.float64)
        except OverflowError:
            return None
        return {"numbers": tree_of(numbers, arrays, more)["array"]}
    if not _is_known(one, more):
        return None
    inner = {
        field.name: tree_of(tuple(getattr(value, field.name) for value in values), arrays, more)
        for field in fields(one)
    }
    return {"many": one.__name__, "fields": inner}


class Given(dict[str, np.ndarray]):
    """Arrays by name, and how many of their numbers may still be made Python's own."""

    left = MAX_MANY

    def numbers(self, name: str) -> tuple[Any, ...]:
        """One of them as numbers.

        Raises:
            ValueError: It holds others than are written, or there are too many in all.
        """
        array = self[name]
        self.left -= array.size
        if array.ndim != 1 or array.dtype not in (np.int64, np.float64) or self.left < 0:
            raise ValueError("no column of numbers")
        return tuple(array.tolist())


def _class(name: str, more: Mapping[str, type]) -> type:
    if name not in TYPES and name not in more:
        raise TypeError(f"no result is a {name}")
    made: type = more.get(name) or getattr(analysis, name)
    return made


def _many(name: str, columns: Mapping[str, Any], more: Mapping[str, type]) -> tuple[Any, ...]:
    made = _class(name, more)
    if name not in more:
        for field, column in columns.items():
            for value in _unlike(column):
                require_kinds(made, {field: value})
    ordered = [columns[field.name] for field in fields(made)]
    return tuple(made(*row) for row in zip(*ordered, strict=True))


def _unlike(column: tuple[Any, ...]) -> Iterable[Any]:
    """What stands for all of a column: each text once, and of numbers and objects one a class."""
    if any(isinstance(value, tuple | Mapping | np.ndarray) for value in column):
        return column
    return {value if isinstance(value, str) else type(value): value for value in column}.values()


def value_of(tree: Any, arrays: Given, more: Mapping[str, type]) -> Any:
    """The value that `tree_of` was given, with read-only arrays; raises anything where it is none.

    Args:
        tree: What JSON says.
        arrays: Those beside it.
        more: As `app.compute.stored.to_bytes` takes it.
    """
    (kind,) = set(tree) - {"fields"}
    if kind == "array":
        array = arrays[tree[kind]]
        array.setflags(write=False)
        return array
    if kind == "numbers":
        return arrays.numbers(tree[kind])
    if kind == "texts" and all(type(text) is str for text in tree[kind]):
        return tuple(tree[kind])
    if kind == "many":
        inner = {name: value_of(part, arrays, more) for name, part in tree["fields"].items()}
        return _many(tree[kind], inner, more)
    if kind == "type":
        made = _class(tree[kind], more)
        inner = {name: value_of(part, arrays, more) for name, part in tree["fields"].items()}
        if tree[kind] not in more:
            require_kinds(made, inner)
        return made(**inner)
    if kind == "mapping":
        return MappingProxyType({k: value_of(part, arrays, more) for k, part in tree[kind].items()})
    if kind == "tuple":
        return tuple(value_of(part, arrays, more) for part in tree[kind])
    return tree["plain"]
