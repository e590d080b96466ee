"""Results as bytes: in a folder that outlives a restart, and in files that come with a model.

Nothing is pickled: a file holds arrays, numbers and text, and a checksum over them and the question
they answer. What is cut off, changed, or not of a type that we know is not read.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import shutil
import sqlite3
import threading
import zipfile
from collections.abc import Hashable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import diskcache
import numpy as np
from filelock import FileLock

from analysis.definitions import SCORE_NAMES
from analysis.head import Head
from analysis.models.files import opened
from app.compute.trees import NUMBERS, Given, Unstorable, tree_of, value_of

_log = logging.getLogger("headscope")
# Bytes of a result: patterns take at most 256 MiB, and what goes with them less.
MAX_UNPACKED = 2**29
# Bytes of the JSON that says how it is put together: what Python makes of it takes up to 35 times
# as much. Without arrays the largest of ours has some 100 kB.
MAX_TREE = 2**23
# Seconds to wait for another process that opens the folder, which may have been stopped meanwhile.
TURN = 10.0
_DIGEST = 32  # bytes of the checksum in front
_HEADER = 1024  # of an array in a file, rather too much
# Part of what a store is asked: what was kept before there was a score does not hold it.
_SCORES = hashlib.sha256(" ".join(SCORE_NAMES).encode()).hexdigest()[:16]
# A file beside the table, as diskcache names it.
_OWN_FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
_NO_MORE: Mapping[str, type] = MappingProxyType({})


class Results(Protocol):
    """Where results are kept as bytes; what is found is checked by `from_bytes`."""

    def get(self, question: str) -> bytes | None:
        """What was kept for a question; None where nothing is, or it cannot be reached."""

    def keep(self, question: str, data: bytes) -> None:
        """Keep it, as far as there is room."""


def key_text(key: Hashable) -> str | None:
    """A key as text, different for different keys; None if that cannot be said of it."""
    try:
        return _key_text(key)
    except Unstorable:
        return None


def _key_text(part: Any) -> str:
    if isinstance(part, tuple):
        return f"({','.join(map(_key_text, part))})"
    if isinstance(part, Head):
        return part.label
    # What prints itself in full and unlike anything else.
    if part is None or type(part) in (str, bytes, int, float, bool):
        return repr(part)
    raise Unstorable


def asked_of(question: str) -> str:
    """A question as a store is asked it: what was kept with other scores is not found."""
    return f"{_SCORES} {question}"


def to_bytes(
    question: str, value: Any, more: Mapping[str, type] = _NO_MORE, compressed: bool = True
) -> bytes | None:
    """A result as bytes; None where it holds something that is not kept.

    Args:
        question: What it answers.
        value: The result.
        more: Classes that it may hold beside those of results, by name.
        compressed: Whether time is spent on making it smaller.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        tree = json.dumps(tree_of(value, arrays, more))
    except Unstorable:
        return None
    if len(tree) > MAX_TREE:
        return None
    file = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(file, tree=np.frombuffer(tree.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    return _digest(question, file.getvalue()) + file.getvalue()


def from_bytes(question: str, data: bytes, more: Mapping[str, type] = _NO_MORE) -> Any:
    """The result that `to_bytes` was given; None if these are not exactly its bytes."""
    content = data[_DIGEST:]
    if data[:_DIGEST] != _digest(question, content):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            # A few bytes of a file can stand for all of the memory.
            if sum(part.file_size for part in packed.infolist()) > MAX_UNPACKED:
                return None
            if packed.getinfo("tree.npy").file_size > MAX_TREE + _HEADER:
                return None
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            # Each once: asked by name it would be unpacked as often as the tree names it.
            arrays = Given({name: found[name] for name in found.files})
        if any(array.dtype.kind not in NUMBERS for array in arrays.values()):
            return None
        return value_of(json.loads(arrays["tree"].tobytes()), arrays, more)
    # Anybody can compute the checksum of a file that zip, zlib, json or numpy stumbles over, each
    # with an exception of its own.
    except Exception:
        return None


def _digest(question: str, content: bytes) -> bytes:
    return hashlib.sha256(question.encode() + b"\0" + content).digest()


class _BytesOnly(diskcache.Disk):
    """Keeps bytes, and believes nothing of what somebody has put into the folder.

    Nothing is unpickled, and the file that an entry names is read, and deleted with the entry, only
    where it is one of the cache's own: else an entry could name any file of this machine.
    """

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> Any:
        """The bytes of an entry; nothing for one that is not kept as ours are."""
        if mode == diskcache.core.MODE_RAW:
            return value
        if mode != diskcache.core.MODE_BINARY or not _is_own(filename):
            return b""
        # No pipe and nothing endless: a link may lead to either.
        with opened(Path(self._directory) / filename, MAX_UNPACKED) as stream:
            return stream.read(MAX_UNPACKED)

    def remove(self, file_path: str) -> None:
        """Delete the file of an entry that goes."""
        if _is_own(file_path):
            super().remove(file_path)


def _is_own(filename: Any) -> bool:
    return isinstance(filename, str) and _OWN_FILE.fullmatch(filename) is not None


class ResultFolder:
    """Results on disk, up to a size, the least recently used go first.

    What was kept with other scores registered is not found. A folder that fails costs time, not
    answers: everything can be computed again. One that is damaged is set aside, in a folder
    `damaged` inside it, and begun anew. Processes of one machine may share it: the first who meets
    the damage does so, and the others go on with what it has begun.

    Raises:
        OSError, sqlite3.Error: It cannot be made, or is not ours to write to.
    """

    def __init__(self, folder: Path, max_bytes: int):
        self._folder, self._max_bytes = folder, max_bytes
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        # Of all processes, while one of them sets the folder aside or opens it.
        self._turn = FileLock(folder / "turn.lock", timeout=TURN)
        with self._turn:
            self._cache, self._file = self._opened()

    def get(self, question: str) -> bytes | None:
        """What was kept for a question."""
        cache = self._current()
        try:
            found = cache.get(asked_of(question))
        except Exception as error:
            _log.exception("a result could not be read from the folder")
            self._begin_anew_after(error, cache)
            return None
        return found if isinstance(found, bytes) else None

    def keep(self, question: str, data: bytes) -> None:
        """Keep it."""
        cache = self._current()
        try:
            cache.set(asked_of(question), data)
        except Exception as error:  # a full disk, a folder taken away
            _log.exception("a result could not be kept in the folder")
            self._begin_anew_after(error, cache)

    def _current(self) -> diskcache.Cache:
        """The cache that is in the folder now: another process may have begun it anew."""
        if self._file_now() != self._file:
            with self._lock:
                self._reopen(self._cache)
        return self._cache

    def _begin_anew_after(self, error: Exception, cache: diskcache.Cache) -> None:
        # Its subclasses speak of a full disk or of another process, not of damage.
        if type(error) is not sqlite3.DatabaseError:
            return
        with self._lock:
            if self._cache is cache:  # and no other thread has done it
                self._reopen(cache, damaged=True)

    def _reopen(self, cache: diskcache.Cache, damaged: bool = False) -> None:
        """Go on with what another process has begun; where that is ours still, begin it anew."""
        try:
            with self._turn:
                same = self._file_now() == self._file
                if same and not damaged:
                    return  # another thread has done it
                cache.close()
                if same:
                    self._set_aside()
                self._cache, self._file = self._opened()
        except Exception:
            _log.exception("the folder of results could not be begun anew")

    def _opened(self) -> tuple[diskcache.Cache, int | None]:
        """The cache in the folder, begun anew where it is damaged, and its file as it is now."""
        try:
            cache = self._open()
        except (OSError, sqlite3.OperationalError):  # not ours to write to, or in use
            raise
        except Exception:  # a damaged one raises whatever its reader meets
            self._set_aside()
            cache = self._open()
        return cache, self._file_now()

    def _file_now(self) -> int | None:
        """What tells the file in the folder from one that has taken its place."""
        try:
            return (self._folder / "cache.db").stat().st_ino
        except OSError:
            return None

    def _open(self) -> diskcache.Cache:
        cache = diskcache.Cache(
            str(self._folder),
            disk=_BytesOnly,
            size_limit=self._max_bytes,
            eviction_policy="least-recently-used",
        )
        cache.get("")  # reads a page of the table, which a damaged file may lack
        return cache

    def _set_aside(self) -> None:
        """Move what belongs to the cache, and nothing else, out of its way; once, not for ever."""
        _log.error("the folder of results %s is damaged and begun anew", self._folder)
        aside = self._folder / "damaged"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for pattern in ("cache.db*", "[0-9a-f][0-9a-f]"):
            for part in list(self._folder.glob(pattern)):
                part.rename(aside / part.name)


def open_folder(name: str, max_bytes: int) -> ResultFolder | None:
    """The folder of that name; None for no name, or one in which nothing can be kept."""
    try:
        return ResultFolder(Path(name), max_bytes) if name else None
    except (OSError, sqlite3.Error):
        _log.exception("results cannot be kept in %s", name)
        return None


def shipped_file(folder: Path, question: str) -> Path:
    """Where the answer to a question is, if it comes with the model in `folder`."""
    return folder / "views" / f"{hashlib.sha256(question.encode()).hexdigest()[:16]}.npz"
