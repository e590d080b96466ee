"""Texts that heads are read over: the one that comes with the app, and visitors' own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from analysis.errors import AnalysisError
from analysis.heads.corpus.fetch import fetch_texts
from analysis.heads.corpus.hub import FIELDS
from analysis.heads.corpus.texts import SHIPPED, SHIPPED_FILE, shipped_text
from analysis.kept import kept_property
from app.compute.server import current_server

# Of an uploaded file.
MAX_TEXT_BYTES = 20 * 2**20
LONGEST_NAME = 60


@dataclass(frozen=True, eq=False)
class Text:
    """One text, or several one after another; `name` is as it is shown, and hostile."""

    name: str
    parts: tuple[str, ...]
    file: str | None = None  # in the app's repository

    @kept_property
    def digest(self) -> str:
        """What tells it from others: a hash of all its text."""
        found = hashlib.sha256()
        for part in self.parts:
            found.update(part.encode("utf-8", "surrogatepass") + b"\0")
        return found.hexdigest()[:32]

    @property
    def characters(self) -> int:
        """Characters of all parts."""
        return sum(map(len, self.parts))


@cache
def shipped() -> Text:
    """The text that comes with the app."""
    return Text(SHIPPED, (shipped_text(),), f"analysis/heads/corpus/{SHIPPED_FILE.name}")


def read_text_file(name: str, data: bytes) -> tuple[Text, str]:
    """A text from an uploaded file, and a sentence about lines that were left out.

    A file whose name ends in `.jsonl` has one JSON value a line: a text, or an object with one
    under "text" (or "content", "body", "prompt"). Any other file is one text.

    Raises:
        AnalysisError: Too large, no UTF-8, or without any text.
    """
    shown = name[:LONGEST_NAME] or "a file"
    if len(data) > MAX_TEXT_BYTES:
        raise AnalysisError(
            f"The file has {len(data) / 2**20:.0f} MB; at most {MAX_TEXT_BYTES / 2**20:.0f} are "
            "read. Cut it."
        )
    try:
        whole = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnalysisError(
            f"Byte {error.start + 1:,} of the file is no UTF-8 text. Save it as UTF-8."
        ) from error
    if "\0" in whole:
        raise AnalysisError(
            f"Character {whole.index(chr(0)) + 1:,} of the file is NUL, as in files that are not "
            "text. Choose a text file."
        )
    if not name.lower().endswith((".jsonl", ".ndjson")):
        if not whole.strip():
            raise AnalysisError("The file holds no text. Choose another one.")
        return Text(shown, (whole,)), ""
    parts, wrong = _lines(whole)
    if not parts:
        why = f" Line {wrong[0][0]}: {wrong[0][1]}." if wrong else ""
        raise AnalysisError(
            f"No line of the file holds a text.{why} Each line is a JSON text, or an object with "
            'one under "text".'
        )
    said = ""
    if wrong:
        lines = "1 line was" if len(wrong) == 1 else f"{len(wrong):,} lines were"
        said = f"{lines} left out; the first is line {wrong[0][0]:,}: {wrong[0][1]}."
    return Text(shown, tuple(parts)), said


def fetch_text(name: str, progress: Callable[[int, int], None]) -> Text:
    """The first texts of a data set of the hub, where this server may reach out.

    `progress` may raise to cancel.

    Raises:
        AnalysisError: It may not, it fetches another one now, or as `fetch_texts`.
    """
    server = current_server()
    if not server.config.downloads:
        raise AnalysisError("This server fetches nothing from a hub. Upload the text instead.")
    if not server.fetching.acquire(blocking=False):
        raise AnalysisError("This server is fetching another data set. Try again in a minute.")
    try:
        found = fetch_texts(name, progress)
    finally:
        server.fetching.release()
    return Text(f"{found.name}, its first {len(found.parts):,} texts ({found.split})", found.parts)


def _lines(whole: str) -> tuple[list[str], list[tuple[int, str]]]:
    """The texts of a JSONL file, and what is wrong with which line."""
    parts: list[str] = []
    wrong: list[tuple[int, str]] = []
    # Not `splitlines`, which also splits at characters that may stand inside a JSON text.
    for number, line in enumerate(whole.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            wrong.append((number, "it is not JSON"))
            continue
        if isinstance(value, dict):
            value = next((value[field] for field in FIELDS if field in value), None)
        if not isinstance(value, str) or not value.strip():
            wrong.append((number, "it holds no text"))
            continue
        parts.append(value)
    return parts, wrong
