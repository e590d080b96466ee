"""Whether a value is what a class says of its fields: what is made of bytes may hold anything."""

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import AbstractArray


def require_kinds(made: type, given: Mapping[str, Any]) -> None:
    """Refuse values that the fields of a class cannot have.

    Raises:
        TypeError: With the field's name.
    """
    kinds = _kinds(made)
    for name, value in given.items():
        if name not in kinds or not _fits(value, kinds[name]):
            raise TypeError(f"{name} of a {made.__name__} is something else")


@cache
def _kinds(made: type) -> Mapping[str, Any]:
    return get_type_hints(made)


def _fits(value: Any, kind: Any) -> bool:
    inner = get_args(kind)
    match get_origin(kind):
        case origin if origin is Union or origin is UnionType:
            return any(_fits(value, each) for each in inner)
        case origin if origin is Literal:
            return isinstance(value, str) and value in inner
        case origin if origin is tuple:
            return isinstance(value, tuple) and _items_fit(value, inner)
        case origin if origin is Mapping:
            return isinstance(value, Mapping) and all(
                _fits(name, inner[0]) and _fits(each, inner[1]) for name, each in value.items()
            )
    if kind is float:  # a whole number is written like one
        return type(value) in (int, float)
    if kind in (int, str, bool, NoneType):
        return type(value) is kind
    if issubclass(kind, AbstractArray):
        return isinstance(value, np.ndarray) and _is_array_of(value, kind)
    return isinstance(value, kind)


def _items_fit(value: tuple[Any, ...], kinds: tuple[Any, ...]) -> bool:
    if kinds[1:] == (...,):
        return all(_fits(each, kinds[0]) for each in value)
    return len(value) == len(kinds) and all(map(_fits, value, kinds))


def _is_array_of(value: np.ndarray, kind: Any) -> bool:
    """By its numbers and its number of axes: what their lengths are is for the class to check."""
    axes = kind.dim_str.split()
    many = any(axis.startswith(("*", "...")) for axis in axes)
    return value.dtype.name in kind.dtypes and (many or value.ndim == len(axes))
