"""A set of prompts on one model's tokenizer: ids, answers, places, in batches of one length."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from analysis.arrays import freeze
from analysis.errors import AnalysisError
from analysis.kept import kept_property
from analysis.limits import MAX_SET_BYTES, MAX_SET_TOKENS
from analysis.models.loading import HeadModel
from analysis.runs.inputs import as_tokens, tokenize
from analysis.sets.builtin import BUILT_IN, ROWS, builtin_set
from analysis.sets.reading import read_set
from analysis.sets.rows import (
    AFTER_SUBJECT,
    ANSWER,
    END,
    SECOND_SUBJECT,
    SUBJECT,
    Note,
    PromptRow,
    PromptSet,
)
from analysis.tokens import Tokens


@dataclass(frozen=True, slots=True)
class FittedRow:
    """A row as one model reads it. `index` is its place in the set."""

    index: int
    ids: tuple[int, ...]
    corrupt: tuple[int, ...] | None
    answer: int | None
    foil: int | None
    places: Mapping[str, int]  # position of each named place that the row has


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of one length, as a model is run on them.

    `rows` are places in `FittedSet.rows`. An answer or foil that a row lacks is -1.
    """

    rows: Int[np.ndarray, " batch"]
    tokens: Tokens
    answers: Int[np.ndarray, " batch"]
    foils: Int[np.ndarray, " batch"]
    _of: tuple[FittedRow, ...]

    def __post_init__(self) -> None:
        freeze(self, "rows", "answers", "foils")

    @property
    def places(self) -> dict[str, Int[np.ndarray, " batch"]]:
        """Position of each named place in each row; -1 where a row lacks it."""
        names = dict.fromkeys(name for row in self._of for name in row.places)
        return {name: np.array([row.places.get(name, -1) for row in self._of]) for name in names}

    def part(self, rows: slice) -> "Batch":
        """Some of its rows."""
        tokens = replace(self.tokens, ids=self.tokens.ids[rows], labels=self.tokens.labels[rows])
        return Batch(self.rows[rows], tokens, self.answers[rows], self.foils[rows], self._of[rows])

    def only(self, now: Mapping[int, int]) -> "Batch":
        """Those of its rows that are still there, at the places that they have now."""
        at = np.flatnonzero([int(place) in now for place in self.rows])
        labels = tuple(self.tokens.labels[number] for number in at)
        return Batch(
            np.array([now[int(self.rows[number])] for number in at], int),
            replace(self.tokens, ids=self.tokens.ids[at], labels=labels),
            self.answers[at],
            self.foils[at],
            tuple(self._of[number] for number in at),
        )


@dataclass(frozen=True, eq=False)
class FittedSet:
    """The rows of a set that a model can be run on; `notes` name those left out, and why."""

    of: PromptSet
    rows: tuple[FittedRow, ...]
    batches: tuple[Batch, ...]
    notes: tuple[Note, ...]

    def only(self, indices: Collection[int]) -> "FittedSet":
        """The set with some of its rows, by their places in the set as it was given."""
        kept = [place for place, row in enumerate(self.rows) if row.index in indices]
        if len(kept) == len(self.rows):
            return self
        now = {place: number for number, place in enumerate(kept)}
        batches = (batch.only(now) for batch in self.batches)
        return FittedSet(
            self.of,
            tuple(self.rows[place] for place in kept),
            tuple(batch for batch in batches if len(batch.rows)),
            self.notes,
        )

    @property
    def has_answers(self) -> bool:
        """Whether every row has an answer."""
        return all(row.answer is not None for row in self.rows)

    @property
    def has_foils(self) -> bool:
        """Whether every row has an answer and a foil."""
        return all(row.foil is not None for row in self.rows)

    @kept_property
    def places(self) -> tuple[str, ...]:
        """The places that every row has, so that rows of any length can be laid on each other."""
        names = dict.fromkeys(name for row in self.rows for name in row.places)
        return tuple(name for name in names if all(name in row.places for row in self.rows))


def fit_set(model: HeadModel, prompts: PromptSet, prepend_bos: bool = True) -> FittedSet:
    """A set as one model reads it: rows of one length together, places found by their tokens.

    An answer or foil is the token that follows the prompt. Written without a space in front it is
    taken with one where that is a single token, and as it stands otherwise; as it stands first
    where the prompt ends in a space, where it begins with a sign, and where a digit follows a
    digit. A marked place is the last token of its text. Places that are not marked are found by
    their tokens (`analysis.sets.rows.FOUND`).

    Raises:
        AnalysisError: No row fits this model; more tokens in all than are run.
    """
    rows: list[FittedRow] = []
    notes = list(prompts.notes)
    for index, row in enumerate(prompts.rows):
        try:
            rows.append(_fit_row(model, index, row, prepend_bos))
        except AnalysisError as refusal:
            notes.append(Note(index + 1, f"is left out: {refusal}", of="Row"))
    if not rows:
        raise AnalysisError(
            f"No row of {prompts.name} can be used with {model.name}. {notes[-1].sentence}"
        )
    if (total := sum(len(row.ids) for row in rows)) > MAX_SET_TOKENS:
        raise AnalysisError(
            f"The set has {total:,} tokens; at most {MAX_SET_TOKENS:,} are run. Use fewer rows."
        )
    return FittedSet(
        prompts, tuple(rows), tuple(batches_of(model, rows, prepend_bos)), tuple(notes)
    )


def prompt_set(
    model: HeadModel,
    rows: Sequence[PromptRow | str] | Path | str,
    *,
    count: int = ROWS,
    seed: int = 0,
    prepend_bos: bool = True,
) -> PromptSet:
    """A set of prompts that a model can be run on, without the rows that it cannot take.

    Args:
        model: Whose tokenizer decides what is one token.
        rows: Rows or prompts, the path of a file of them (TXT, CSV or JSON lines;
            `analysis.sets.reading`), or the name of a built-in set, such as "indirect-object".
        count: How many rows of a built-in set.
        seed: Of the draws of a built-in set.
        prepend_bos: As in `tokenize`; rows count as too long with it.

    Raises:
        AnalysisError: No row can be used, or the set is too large.
    """
    if isinstance(rows, str) and rows in BUILT_IN:
        found = builtin_set(token_counts(model), rows, count, seed)
    elif isinstance(rows, str | Path):
        found = _read_file(Path(rows))
    else:
        given = tuple(PromptRow(row) if isinstance(row, str) else row for row in rows)
        found = PromptSet("rows", given)
    fitted = fit_set(model, found, prepend_bos)
    usable = tuple(found.rows[row.index] for row in fitted.rows)
    return PromptSet(found.name, usable, fitted.notes)


def _read_file(path: Path) -> PromptSet:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SET_BYTES + 1)  # one more than is read, so that it is refused
    except OSError as error:
        raise AnalysisError(
            f"No set is called {str(path)!r}, and no file of that name can be read. The built-in "
            f"sets are {', '.join(BUILT_IN)}."
        ) from error
    return read_set(data, path.name)


def token_counts(model: HeadModel) -> Callable[[str], int]:
    """How many tokens of the model's a text is, as it stands."""
    return lambda text: len(_encode(model, text))


def next_token(model: HeadModel, prompt: str, text: str) -> int:
    """The id of the token that a text stands for after a prompt; see `fit_set`.

    Raises:
        AnalysisError: It is several tokens, or one that the model has no row for.
    """
    ways = [text] if text[0].isspace() else [f" {text}", text]
    digits = text[0].isdigit() and prompt[-1:].isdigit()
    if digits or prompt[-1:].isspace() or not text[0].isalnum():
        ways.reverse()
    found = [_encode(model, way) for way in ways]
    for ids in found:
        if len(ids) == 1 and ids[0] < model.d_vocab:
            return ids[0]
    raise AnalysisError(
        f"“{text}” is {len(found[0])} tokens of {model.name}, not one. Choose another word."
    )


def _fit_row(model: HeadModel, index: int, row: PromptRow, prepend_bos: bool) -> FittedRow:
    ids = tokenize(model, row.prompt, prepend_bos).ids[0].tolist()
    corrupt = None
    if row.corrupt is not None:
        corrupt = tuple(tokenize(model, row.corrupt, prepend_bos).ids[0].tolist())
    answer, foil = (
        None if text is None else next_token(model, row.prompt, text)
        for text in (row.answer, row.foil)
    )
    if answer is not None and answer == foil:
        raise AnalysisError(
            f"“{row.answer}” and “{row.foil}” are the same token of {model.name}. Choose two."
        )
    places = _found(ids, _ends(model, ids, row.answer), _ends(model, ids, row.foil))
    if any(place.name == SUBJECT for place in row.places):
        places.pop(SECOND_SUBJECT, None)  # of the foil, which is not the subject here
    for place in row.places:
        places[place.name] = _position(model, ids, place.text, place.nth)
    if SUBJECT in places and places.get(SECOND_SUBJECT, -1) > places[SUBJECT]:
        places[AFTER_SUBJECT] = places[SUBJECT] + 1
    return FittedRow(index, tuple(ids), corrupt, answer, foil, places)


def _found(ids: Sequence[int], answers: Sequence[int], foils: Sequence[int]) -> dict[str, int]:
    """Places by their tokens, before what the set marks."""
    places = {END: len(ids) - 1}
    if answers:
        places[ANSWER] = answers[0]
    if foils:
        places[SUBJECT] = foils[0]
    if len(foils) > 1:
        places[SECOND_SUBJECT] = foils[-1]
    return places


def _position(model: HeadModel, ids: Sequence[int], text: str, nth: int) -> int:
    ends = _ends(model, ids, text)
    if len(ends) < nth:
        raise AnalysisError(
            f"“{text}” is marked as a place for the {_ordinal(nth)} time, and its tokens stand "
            f"{len(ends)} times in the prompt. Mark whole words as they stand there."
        )
    return ends[nth - 1]


def _ends(model: HeadModel, ids: Sequence[int], text: str | None) -> list[int]:
    """The last token of each occurrence of a text, with or without a space in front."""
    if text is None or not (written := text.strip()):
        return []
    ends = set()
    for way in (f" {written}", written):
        wanted = _encode(model, way)
        ends |= {
            end
            for end in range(len(wanted) - 1, len(ids))
            if list(ids[end - len(wanted) + 1 : end + 1]) == wanted
        }
    return sorted(ends)


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def _encode(model: HeadModel, text: str) -> list[int]:
    return list(model.tokenizer.encode(text, add_special_tokens=False))


def batches_of(model: HeadModel, rows: Sequence[FittedRow], prepend_bos: bool) -> Iterator[Batch]:
    """Rows of one length together, the shortest first."""
    by_length: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        by_length.setdefault(len(row.ids), []).append(place)
    for _, places in sorted(by_length.items()):
        some = tuple(rows[place] for place in places)
        yield Batch(
            rows=np.array(places),
            tokens=as_tokens(model, [row.ids for row in some], has_bos=prepend_bos),
            answers=np.array([-1 if row.answer is None else row.answer for row in some]),
            foils=np.array([-1 if row.foil is None else row.foil for row in some]),
            _of=some,
        )
