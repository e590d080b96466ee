"""A set of prompts as text: rows of prompt, corrupt prompt, answer, foil and places. No torch."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.errors import AnalysisError
from analysis.limits import MAX_ROWS

# Places that every row has, or has where its answer or foil stands in the prompt.
END = "end"
ANSWER = "answer"
SUBJECT = "subject"
SECOND_SUBJECT = "subject again"
AFTER_SUBJECT = "after subject"
FOUND: dict[str, str] = {
    END: "the last token of the prompt",
    ANSWER: "where the answer's token first stands in the prompt",
    SUBJECT: "where the subject first stands: the foil's token, unless the set marks another",
    SECOND_SUBJECT: "where the subject stands last, if it stands twice",
    AFTER_SUBJECT: "the token after the first of two places of the subject",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A named place in a prompt: where the `nth` occurrence of a text ends, counted from 1."""

    name: str
    text: str
    nth: int = 1

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.text.strip() or self.nth < 1:
            raise ValueError(f"a place needs a name, a text and a number from 1, not {self!r}")

    @classmethod
    def parse(cls, name: str, text: str) -> "Place":
        """A place as files write it: a text, or `text#2` for its second occurrence."""
        before, mark, number = text.rpartition("#")
        if mark and before.strip() and number.isascii() and number.isdigit() and len(number) < 5:
            return cls(name, before, max(1, int(number)))
        return cls(name, text)


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt of a set; what it lacks is None.

    `answer` is the token that should come next and `foil` the one that it is compared with, as
    text; `analysis.sets.fitted` says when a space belongs to them. `corrupt` is a prompt that lacks
    the reason for the answer. `places` are those that the set itself marks.
    """

    prompt: str
    corrupt: str | None = None
    answer: str | None = None
    foil: str | None = None
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be said of a line of a file, or of a row of a set, counted from 1."""

    line: int
    text: str
    left_out: bool = True
    of: Literal["Line", "Row"] = "Line"

    @property
    def sentence(self) -> str:
        """With its line, such as "Line 3 has no prompt."."""
        return f"{self.of} {self.line:,} {self.text}"


@dataclass(frozen=True)
class PromptSet:
    """Rows under a name. Equal rows have equal hashes, whatever the name.

    `notes` say what was left out or taken in a certain way while the rows were read; they are no
    part of the hash.
    """

    name: str
    rows: tuple[PromptRow, ...]
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.rows) <= MAX_ROWS:
            raise AnalysisError(
                f"The set has {len(self.rows):,} rows; 1 to {MAX_ROWS:,} are possible."
            )

    @property
    def hash(self) -> str:
        """SHA-256 of the rows, its first 16 hexadecimal digits: part of links and cache keys."""
        text = json.dumps([as_object(row) for row in self.rows], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts, in order."""
        return tuple(row.prompt for row in self.rows)

    @property
    def corrupts(self) -> tuple[str | None, ...]:
        """The corrupt prompts, None where a row has none."""
        return tuple(row.corrupt for row in self.rows)

    @property
    def answers(self) -> tuple[str | None, ...]:
        """The answers, None where a row has none."""
        return tuple(row.answer for row in self.rows)

    @property
    def foils(self) -> tuple[str | None, ...]:
        """The foils, None where a row has none."""
        return tuple(row.foil for row in self.rows)

    @property
    def places(self) -> tuple[tuple[Place, ...], ...]:
        """The places that each row marks."""
        return tuple(row.places for row in self.rows)


def as_object(row: PromptRow) -> dict[str, object]:
    """A row as JSON has it, which `analysis.sets.reading` reads back; what it lacks is left out."""
    fields = {name: getattr(row, name) for name in ("prompt", "corrupt", "answer", "foil")}
    found: dict[str, object] = {name: text for name, text in fields.items() if text is not None}
    if row.places:
        found["places"] = {place.name: f"{place.text}#{place.nth}" for place in row.places}
    return found


def as_lines(rows: Sequence[PromptRow]) -> str:
    """Rows as JSON lines."""
    return "".join(f"{json.dumps(as_object(row))}\n" for row in rows)


def marked(places: Mapping[str, str]) -> tuple[Place, ...]:
    """Places from names and texts, in the order of their names, so that order is no difference."""
    return tuple(Place.parse(name, places[name]) for name in sorted(places))
