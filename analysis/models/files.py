"""The files of a model's folder: which of them are read, within bounds, and what marks them.

A folder may have been filled by anybody. Only regular files are opened (a FIFO would wait for
ever), none is read beyond a bound (a link to an endless device has no end), and whatever is read
counts in the fingerprint.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from analysis.errors import AnalysisError
from analysis.models.info import INDEX, WEIGHTS, ModelInfo

CONFIG = "config.json"
# All that a tokenizer may be read from; other files of a folder are not even looked at.
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
# Those of them that hold a vocabulary.
VOCABULARIES = (
    *("tokenizer.json", "vocab.json", "vocab.txt"),
    *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
)
# A tokenizer of 262,144 tokens takes 33 MB; an index of a thousand tensors 100 kB.
MOST_BYTES = 256 * 2**20
MOST_JSON = 16 * 2**20
# How a file begins that stands for one in Git LFS.
_POINTER = b"version https://git-lfs.github.com/spec/"
# What reading a file that is not what it should be raises: no file, no JSON, other keys and types,
# lists so deep that they exhaust the parser's stack.
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
# What changes when a file is replaced or written to: its size, its place on the disk, its times.
Stamp = tuple[tuple[str, int, int, int, int], ...]
_digests: dict[Path, tuple[Stamp, str]] = {}
# Of models that are in memory and in no file: what marks their weights now, by their folder.
_marks: dict[Path, Callable[[], str]] = {}


def is_regular(file: Path) -> bool:
    """Whether `file` is there, follows to a plain file, and can be asked."""
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except (OSError, ValueError):
        return False


@contextmanager
def opened(file: Path, most: int | None = None) -> Iterator[BinaryIO]:
    """A regular file for reading.

    Raises:
        OSError: Not there, not regular, or of more than `most` bytes; nothing has been waited for.
    """
    # Without O_NONBLOCK opening a FIFO waits for somebody who writes.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{file.name} is not a regular file")
        if most is not None and found.st_size > most:
            raise OSError(f"{file.name} has {found.st_size:,} bytes; {most:,} are read at most")
        yield stream


def read_json(file: Path) -> Any:
    """What a JSON file holds; numbers that are none (NaN, Infinity) are refused.

    Raises:
        OSError: As `opened`.
        ValueError: Not JSON, or one of those numbers.
        RecursionError: Nested too deeply.
    """
    with opened(file, MOST_JSON) as stream:
        return json.loads(stream.read(MOST_JSON), parse_constant=partial(_refuse, file.name))


def _refuse(file: str, name: str) -> Any:
    raise ValueError(f"{file} holds {name}, which is no number")


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where there is none that can be read."""
    with suppress(*UNREADABLE):
        found = read_json(file)
        if isinstance(found, dict):
            return found
    return {}


def header(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a safetensors file, by name.

    Raises:
        OSError: As `opened`.
        ValueError, KeyError, TypeError, AttributeError, RecursionError: No such file.
    """
    shapes = {name: tuple(tensor["shape"]) for name, tensor in _header(file)[1].items()}
    if any(type(size) is not int or size < 0 for shape in shapes.values() for size in shape):
        raise ValueError(f"{file.name} has a shape that is none")
    return shapes


def _header(file: Path) -> tuple[int, dict[str, Any]]:
    """The bytes that a safetensors file has by its header, and what that says of each tensor."""
    with opened(file) as stream:
        # The format: the header's length in 8 bytes, then the header, which is JSON.
        size = int.from_bytes(stream.read(8), "little")
        if size > MOST_JSON:
            raise ValueError(f"its header would have {size:,} bytes")
        described = json.loads(stream.read(size))
    described.pop("__metadata__", None)
    ends = [tensor["data_offsets"][1] for tensor in described.values()]
    return 8 + size + max(ends, default=0), described


def pointer_problem(file: Path, name: str) -> str:
    """Why a file is not there but in Git LFS, as a sentence; empty where it is there.

    A repository that is cloned without LFS holds a few lines of text in place of each large file.
    """
    with suppress(OSError), opened(file) as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            return (
                f"{file.name} of {name} is only a pointer of Git LFS to the file. Fetch it with "
                "git lfs pull."
            )
    return ""


def require_whole(file: Path, name: str) -> None:
    """Refuse a file of weights that is not as long as its own header says.

    Raises:
        AnalysisError: It is not, or it has no header.
    """
    try:
        expected, there = _header(file)[0], file.stat().st_size
    except UNREADABLE as error:
        why = f"{error}" if isinstance(error, ValueError) and "bytes" in f"{error}" else "no header"
        raise AnalysisError(
            f"{file.name} of {name} is no safetensors file ({why}). Copy it anew."
        ) from error
    if there != expected:
        raise AnalysisError(
            f"{file.name} of {name} has {there:,} bytes; by its header it has {expected:,}. Copy "
            "it anew."
        )


def weight_files(info: ModelInfo) -> list[Path]:
    """The files that the weights are in: the one, or those that the list of parts names."""
    if info.weights.name != INDEX:
        return [info.weights]
    return [info.folder / name for name in indexed_parts(info.folder)]


def indexed_parts(folder: Path) -> list[str]:
    """The files that an index of weights names, each once.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: It cannot be read.
    """
    weight_map = read_json(folder / INDEX)["weight_map"]
    return sorted({str(file) for file in weight_map.values()})


def files_read(info: ModelInfo) -> list[Path]:
    """Every file that loading this model reads, those that are here, in a fixed order."""
    parts = [info.folder / CONFIG, info.weights]
    with suppress(*UNREADABLE):
        parts += [file for file in weight_files(info) if file != info.weights]
    parts += [info.folder / name for name in TOKENIZER]
    return [file for file in parts if is_regular(file)]


def stamp(info: ModelInfo) -> Stamp:
    """What is known of those files without reading them; other bytes have another stamp."""
    marks = []
    for file in files_read(info):
        with suppress(OSError):
            found = file.stat()
            times = (found.st_mtime_ns, found.st_ctime_ns)
            marks.append((file.name, found.st_size, found.st_ino, *times))
    return tuple(marks)


def fingerprint(info: ModelInfo) -> str:
    """What tells a model from all others: it changes with any byte of any file that is read.

    Files are read once as long as their `stamp` stays.
    """
    if mark := _marks.get(info.folder):
        return mark()
    now = stamp(info)
    known = _digests.get(info.weights)
    if known and known[0] == now:
        return known[1]
    digest = hashlib.sha256()
    for file in files_read(info):
        if file.name in TOKENIZER[1:]:  # so that two files do not pass for one of both
            digest.update(f"{file.name} {file.stat().st_size}".encode())
        # What is longer than its header or its bound says is never loaded: a file may be endless.
        left = _bytes_read(file)
        with suppress(OSError), opened(file) as stream:
            while chunk := stream.read(min(2**20, left)):
                digest.update(chunk)
                left -= len(chunk)
    found = digest.hexdigest()[:16]
    _digests[info.weights] = now, found
    return found


def mark_weights(folder: Path, mark: Callable[[], str] | None) -> None:
    """Let the fingerprint of the model in `folder` be what `mark` says; None: of its files."""
    if mark is None:
        _marks.pop(folder, None)
    else:
        _marks[folder] = mark


def _bytes_read(file: Path) -> int:
    if file.suffix != ".safetensors":
        return MOST_BYTES
    try:
        return _header(file)[0]
    except UNREADABLE:
        return 2**20


@contextmanager
def only_files_read(info: ModelInfo) -> Iterator[Path]:
    """A folder with nothing in it but links to `files_read`, under the names that loaders know.

    Raises:
        AnalysisError: A file that is no regular one stands in the place of one of those, or one
            beside the weights is larger than is read.
    """
    parts = {file.name: file for file in files_read(info)}
    if info.step is not None:
        parts[WEIGHTS] = parts.pop(info.weights.name, info.weights)
    for name in (CONFIG, *TOKENIZER):
        file = info.folder / name
        if os.path.lexists(file) and not is_regular(file):
            raise AnalysisError(f"{name} of {info.name} is not a regular file. Copy it anew.")
        if pointer := pointer_problem(file, info.name):
            raise AnalysisError(pointer)
        if is_regular(file) and file.stat().st_size > MOST_BYTES:
            raise AnalysisError(
                f"{name} of {info.name} has {file.stat().st_size:,} bytes; {MOST_BYTES:,} are read "
                "at most. Choose another model."
            )
    with tempfile.TemporaryDirectory(prefix="headscope-") as aside:
        for name, file in parts.items():
            (Path(aside) / name).symlink_to(file.resolve())
        yield Path(aside)
