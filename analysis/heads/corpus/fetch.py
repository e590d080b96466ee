"""Texts of a data set of the hub, by its name; nothing here runs unless it is asked to."""

import json
import queue
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from analysis.errors import AnalysisError
from analysis.limits import MAX_CORPUS_TOKENS
from analysis.models.apart import LOOK, STANDSTILL, START_WITHIN, lines, running

Progress = Callable[[int, int], None]
# A token of English has four or five; a text is read up to MAX_CORPUS_TOKENS.
CHARACTERS = 6 * MAX_CORPUS_TOKENS
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_NAME = re.compile(rf"({_WORD}/{_WORD})(?::({_WORD}))?")


@dataclass(frozen=True, slots=True)
class Fetched:
    """The first texts of a data set, and the split that they are of."""

    name: str
    split: str
    parts: tuple[str, ...]


def fetch_texts(name: str, progress: Progress = lambda done, total: None) -> Fetched:
    """The first texts of a data set, streamed until there are enough for a reading.

    Args:
        name: `owner/name`, or `owner/name:part` where it has several parts. Of its splits it is
            "train", else the first; texts are in the column "text", "content", "body" or "prompt".
        progress: Called with characters read and wanted, several times a second; it may raise to
            cancel.

    Raises:
        AnalysisError: No such name, a data set without texts, or a hub that cannot be reached,
            refuses or stands still. The sentence says which.
    """
    found = _NAME.fullmatch(name.strip())
    if found is None:
        raise AnalysisError(
            "Name a data set as the hub does, such as roneneldan/TinyStories, with a colon and its "
            "part where it has several."
        )
    source, part = found.groups()
    request = {"name": source, "part": part, "characters": CHARACTERS}
    texts: list[str] = []
    split, done = "", 0
    with running("analysis.heads.corpus.hub", json.dumps(request)) as process:
        said, since, within = lines(process), time.monotonic(), START_WITHIN
        while True:
            progress(min(done, CHARACTERS), CHARACTERS)
            if time.monotonic() - since > within:
                raise AnalysisError("The hub has not answered for a while. Try again.")
            with suppress(queue.Empty):
                answer = said.get(timeout=LOOK)
                since, within = time.monotonic(), STANDSTILL
                match answer:
                    case {"split": str(split)}:
                        pass
                    case {"text": str(text)}:
                        texts.append(text)
                        done += len(text)
                    case {"refused": str(sentence)}:
                        raise AnalysisError(sentence)
                    case {"finished": True}:
                        break
                    case None:
                        raise AnalysisError("The data set ended before its time. Try again.")
    if not texts:
        raise AnalysisError("This data set holds no text. Take another one.")
    return Fetched(name.strip(), split, tuple(texts))
