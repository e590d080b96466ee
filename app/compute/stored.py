"""Results as bytes: in a folder that outlives a restart, and in files that come with a model.

Nothing is pickled: a file holds arrays, numbers and text, and a checksum over them and the question
they answer. What is cut off, changed, or not of a type that we know is not read.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import diskcache
import numpy as np

import analysis
from analysis.definitions import QUANTITIES, SCORE_NAMES
from analysis.head import Head

_log = logging.getLogger("headscope")
_DIGEST = 32  # bytes of the checksum in front
# The only classes that are made from a file.
TYPES = frozenset({"Head", *(name for quantity in QUANTITIES for name in quantity.results)})
# Part of what the folder is asked: what was kept before there was a score does not hold it.
_SCORES = hashlib.sha256(" ".join(SCORE_NAMES).encode()).hexdigest()[:16]


class _Unstorable(TypeError):
    """A value of a type that is not kept."""


def key_text(key: Hashable) -> str | None:
    """A key as text, different for different keys; None if that cannot be said of it."""
    try:
        return _key_text(key)
    except _Unstorable:
        return None


def _key_text(part: Any) -> str:
    if isinstance(part, tuple):
        return f"({','.join(map(_key_text, part))})"
    if isinstance(part, Head):
        return part.label
    # What prints itself in full and unlike anything else.
    if part is None or type(part) in (str, bytes, int, float, bool):
        return repr(part)
    raise _Unstorable


def to_bytes(question: str, value: Any) -> bytes | None:
    """A result as bytes; None where it holds something that is not kept."""
    arrays: dict[str, np.ndarray] = {}
    try:
        tree = json.dumps(_tree(value, arrays))
    except _Unstorable:
        return None
    file = io.BytesIO()
    np.savez_compressed(file, tree=np.frombuffer(tree.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    return _digest(question, file.getvalue()) + file.getvalue()


def from_bytes(question: str, data: bytes) -> Any:
    """The result that `to_bytes` was given; None if these are not exactly its bytes."""
    content = data[_DIGEST:]
    if data[:_DIGEST] != _digest(question, content):
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return _value(json.loads(arrays["tree"].tobytes()), arrays)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile):
        return None


def _digest(question: str, content: bytes) -> bytes:
    return hashlib.sha256(question.encode() + b"\0" + content).digest()


def _tree(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON, with its arrays put aside by name."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc":
            raise _Unstorable
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if is_dataclass(value) and type(value).__name__ in TYPES:
        inner = {f.name: _tree(getattr(value, f.name), arrays) for f in fields(value)}
        return {"type": type(value).__name__, "fields": inner}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: _tree(inner, arrays) for key, inner in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_tree(inner, arrays) for inner in value]}
    if value is None or type(value) in (str, int, float, bool):
        return {"plain": value}
    raise _Unstorable


def _value(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    (kind,) = set(tree) - {"fields"}
    if kind == "array":
        array = arrays[tree[kind]]
        array.setflags(write=False)
        return array
    if kind == "type":
        if tree[kind] not in TYPES:
            raise TypeError(f"no result is a {tree[kind]}")
        inner = {name: _value(part, arrays) for name, part in tree["fields"].items()}
        return getattr(analysis, tree[kind])(**inner)
    if kind == "mapping":
        return MappingProxyType({k: _value(part, arrays) for k, part in tree[kind].items()})
    if kind == "tuple":
        return tuple(_value(part, arrays) for part in tree[kind])
    return tree["plain"]


class _BytesOnly(diskcache.Disk):
    """Keeps bytes, and never unpickles what somebody has put into the folder."""

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> Any:
        """The bytes of an entry; nothing for one that would be made by running code."""
        if mode not in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY):
            return b""
        return super().fetch(mode, filename, value, read)


class ResultFolder:
    """Results on disk, up to a size, the least recently used go first.

    What was kept with other scores registered is not found. A folder that fails costs time, not
    answers: everything can be computed again.
    """

    def __init__(self, folder: Path, max_bytes: int):
        self._cache = diskcache.Cache(
            str(folder),
            disk=_BytesOnly,
            size_limit=max_bytes,
            eviction_policy="least-recently-used",
        )

    def get(self, question: str) -> bytes | None:
        """What was kept for a question."""
        try:
            found = self._cache.get(f"{_SCORES} {question}")
        except Exception:  # a damaged database raises whatever its reader meets
            _log.exception("a result could not be read from the folder")
            return None
        return found if isinstance(found, bytes) else None

    def keep(self, question: str, data: bytes) -> None:
        """Keep it."""
        try:
            self._cache.set(f"{_SCORES} {question}", data)
        except Exception:  # a full disk, a folder taken away
            _log.exception("a result could not be kept in the folder")


def shipped_file(folder: Path, question: str) -> Path:
    """Where the answer to a question is, if it comes with the model in `folder`."""
    return folder / "views" / f"{hashlib.sha256(question.encode()).hexdigest()[:16]}.npz"
