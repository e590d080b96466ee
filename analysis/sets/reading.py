"""Reading a set of prompts that somebody wrote: lines, CSV or JSON lines. Every text is hostile.

A row that cannot be used is named with its line and why, and the others stay. No torch.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO
from typing import Literal, get_args

from analysis.errors import AnalysisError
from analysis.limits import MAX_CHARACTERS, MAX_ROWS, MAX_SET_BYTES
from analysis.sets.rows import Note, PromptRow, PromptSet, marked

Form = Literal["lines", "csv", "jsonl"]
FORMS: tuple[Form, ...] = get_args(Form)
FIELDS = ("prompt", "corrupt", "answer", "foil")
MAX_PLACES = 8
# Of one name or value in a cell that is no prompt.
MAX_WORD = 200
# Rows are named one by one up to here, the rest by their number.
MAX_NOTES = 50
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@")
# A column or key of this kind marks a place: `place:it`.
_PLACE = "place:"
# A line's fields by name, or what is to be said of it.
Raw = tuple[int, Mapping[str, object]] | Note


def read_set(data: bytes | str, name: str, form: Form | None = None) -> PromptSet:
    """The rows of a text: bytes of a file, or what was pasted.

    Args:
        data: UTF-8, or UTF-16 with its mark. At most 2 MiB; nothing is cut off without a note.
        name: What the set is called; of a file its name, whose ending says the form.
        form: "lines": a prompt on each. "csv": commas, semicolons or tabs; the header names the
            columns `prompt`, `corrupt`, `answer`, `foil`, and `place:NAME` for a place of that
            name. "jsonl": an object with such keys on each line, places under `places`. By default
            by the ending of the name, else by how the text begins.

    Raises:
        AnalysisError: Too many bytes, bytes that are not text, an unknown form, or no row at all
            that can be used; the sentence says why of the first.
    """
    text = _decoded(data)
    if not text.strip():
        raise AnalysisError(
            "The set is empty. Give it one prompt a line, or rows with a column `prompt`."
        )
    form = form or form_of(text, name)
    if form not in FORMS:
        raise AnalysisError(f"Form {form!r} is unknown. Choose one of: {', '.join(FORMS)}.")
    return _collect(name, _READERS[form](text))


def form_of(text: str, name: str) -> Form:
    """How a text is written: by the ending of its name, else by its first line."""
    ending = name.lower().rpartition(".")[2]
    if ending in ("jsonl", "ndjson", "json"):
        return "jsonl"
    if ending in ("csv", "tsv"):
        return "csv"
    first = text.lstrip("\ufeff\r\n \t").partition("\n")[0]
    if first.startswith("{"):
        return "jsonl"
    return "csv" if _header(_cells(first, _delimiter(first))) else "lines"


def text_of(data: bytes, most: int) -> str:
    """The text of a file of rows, of at most so many characters.

    Raises:
        AnalysisError: It is no text, or longer.
    """
    text = _decoded(data)
    if len(text) > most:
        raise AnalysisError(
            f"The file has {len(text):,} characters; at most {most:,} are read here. Split it."
        )
    return text


def _decoded(data: bytes | str) -> str:
    size = len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass"))
    if size > MAX_SET_BYTES:
        raise AnalysisError(
            f"The set has {size:,} bytes; at most {MAX_SET_BYTES:,} are read. Split it."
        )
    if isinstance(data, str):
        return data
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnalysisError(
            f"Byte {error.start + 1:,} of the set is not UTF-8 text. Save the file as UTF-8."
        ) from error


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, counted from 1; ends of lines are those of editors alone."""
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip():
            yield number, line


def _read_lines(text: str) -> Iterator[Raw]:
    for number, line in _lines(text):
        yield number, {"prompt": line}


def _read_json(text: str) -> Iterator[Raw]:
    for number, line in _lines(text):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):  # numbers of a thousand digits are ValueErrors too
            yield Note(number, "is not JSON. Write one object on each line.")
            continue
        if isinstance(found, dict):
            yield number, found
        else:
            yield Note(number, 'is not a JSON object such as {"prompt": "…"}.')


def _read_cells(text: str) -> Iterator[Raw]:
    first = next(line for _, line in _lines(text))
    cells_by_row = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(first), strict=True)
    header: Sequence[str] = ()
    while True:
        number = cells_by_row.line_num + 1
        try:
            cells = next(cells_by_row)
        except StopIteration:
            return
        except csv.Error as error:
            why = "a quote that is never closed" if "end of data" in str(error) else str(error)
            yield Note(number, f"cannot be read as CSV: {why}.")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = _header(cells) or FIELDS
            if header is not FIELDS:
                continue
            text = f"names no column `prompt`; columns are taken as {', '.join(FIELDS)}."
            yield Note(number, text, left_out=False)
        if len(cells) > len(header):
            yield Note(
                number, f"has {len(cells)} cells for {len(header)} columns. Quote its commas."
            )
        else:
            yield number, dict(zip(header, cells, strict=False))


def _delimiter(line: str) -> str:
    """What stands between the cells of a header; a comma unless another splits it further."""
    return max(",;\t", key=lambda sign: (line.count(sign), sign == ","))


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _header(cells: Sequence[str]) -> list[str] | None:
    names = [cell.strip().lower().lstrip("\ufeff") for cell in cells]
    return names if "prompt" in names and len(set(names)) == len(names) else None


_READERS: Mapping[Form, Callable[[str], Iterator[Raw]]] = {
    "lines": _read_lines,
    "csv": _read_cells,
    "jsonl": _read_json,
}


def _collect(name: str, raw: Iterator[Raw]) -> PromptSet:
    """The rows that can be used, and a note on each that cannot."""
    rows: list[PromptRow] = []
    notes: list[Note] = []
    seen: dict[PromptRow, int] = {}
    told: set[str] = set()  # of keys that nothing is known of, each once
    over = 0
    for each in raw:
        if isinstance(each, Note):
            notes.append(each)
            continue
        line, found = each
        row = _row(found)
        if isinstance(row, str):
            notes.append(Note(line, row))
        elif row in seen:
            notes.append(Note(line, f"repeats line {seen[row]:,}; it counts once."))
        elif len(rows) == MAX_ROWS:
            over += 1
        else:
            seen[row] = line
            rows.append(row)
            notes += _remarks(line, found, row, told)
    if not rows:
        left_out = next(note for note in notes if note.left_out)
        raise AnalysisError(f"No row can be used. {left_out.sentence}")
    if over:
        last = seen[rows[-1]]
        text = f"is the last that is read: {over:,} more rows follow, and {MAX_ROWS:,} are taken."
        notes.append(Note(last, text, left_out=False))
    if len(notes) > MAX_NOTES:
        rest = notes[MAX_NOTES:]
        text = f"and {len(rest) - 1:,} others have remarks of these kinds too."
        notes = [*notes[:MAX_NOTES], Note(rest[0].line, text, left_out=False)]
    return PromptSet(name, tuple(rows), tuple(notes))


def _row(found: Mapping[str, object]) -> PromptRow | str:
    """A row, or why it is none."""
    fields: dict[str, str | None] = {}
    for key in FIELDS:
        value = found.get(key)
        # In a cell blanks are as good as nothing; a space in front of an answer belongs to it.
        if value is None or (isinstance(value, str) and not value.strip()):
            fields[key] = None
            continue
        if not isinstance(value, str):
            return f"has a `{key}` that is not text. Put it in quotes."
        limit = MAX_CHARACTERS if key in ("prompt", "corrupt") else MAX_WORD
        if wrong := _wrong(value, limit):
            return f"has a `{key}` {wrong}"
        fields[key] = value
    prompt = fields.pop("prompt")
    if prompt is None:
        return "has no prompt."
    if fields["foil"] is not None and fields["foil"] == fields["answer"]:
        return "has the same answer and foil, so there is no difference. Choose two."
    if fields["foil"] is not None and fields["answer"] is None:
        return "has a foil and no answer. Give both, or neither."
    places = _places(found)
    return places if isinstance(places, str) else PromptRow(prompt, **fields, places=marked(places))


def _places(found: Mapping[str, object]) -> dict[str, str] | str:
    given = found.get("places")
    if given is not None and not isinstance(given, dict):
        return "has `places` that are no object of names and texts."
    marks = dict(given or {})
    marks |= {key[len(_PLACE) :]: found[key] for key in found if key.startswith(_PLACE)}
    if len(marks) > MAX_PLACES:
        return f"marks {len(marks)} places; at most {MAX_PLACES} are read."
    kept: dict[str, str] = {}
    for name, text in marks.items():
        if text is None or (isinstance(text, str) and not text.strip()):
            continue
        if not isinstance(text, str) or not name.strip():
            return "marks a place that is not a name with a text."
        if wrong := _wrong(name, MAX_WORD) or _wrong(text, MAX_WORD):
            return f"marks a place {wrong}"
        kept[name.strip()] = text.strip()
    return kept


def _wrong(text: str, limit: int) -> str:
    """What is wrong with a text, as the end of a sentence; empty where nothing is."""
    if len(text) > limit:
        return f"of {len(text):,} characters; at most {limit:,} are read. Shorten it."
    if "\0" in text:
        return "with a NUL character in it. Delete that."
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "with half of a surrogate pair in it, which is not text. Delete that."
    return ""


def _remarks(
    line: int, found: Mapping[str, object], row: PromptRow, told: set[str]
) -> Iterator[Note]:
    texts = (row.prompt, row.corrupt, row.answer, row.foil)
    if any(text and text.startswith(_FORMULA) for text in texts):
        yield Note(line, "begins as a formula does; it is read as plain text.", left_out=False)
    for key in found:
        known = key in FIELDS or key == "places" or key.startswith(_PLACE)
        if not known and key not in told and len(told) < MAX_PLACES:
            told.add(key)
            text = f"has “{key[:40]}”, which is not one of {', '.join(FIELDS)}; it is not read."
            yield Note(line, text, left_out=False)
