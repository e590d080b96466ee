"""Findings as a file, as a browser keeps them, and one as a link: written, and read with checks.

What is read may be anybody's. Nothing in it is run or opened: it holds texts, names of pages and of
parameters that are known here, and finite numbers.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections.abc import Sequence
from datetime import date
from typing import Any, NoReturn

from analysis.head import Head
from app.compute.findings.finding import (
    MAX_CLAIM,
    MAX_EVIDENCE,
    MAX_FINDINGS,
    MAX_NAME,
    MAX_NAMES,
    MAX_NOTE,
    MAX_TITLE,
    Evidence,
    Finding,
    HeadName,
    Number,
    View,
)
from app.compute.findings.readings import OPEN, READINGS, Reading
from app.links.pages import PAGES
from app.links.parameters import BY_KEY, PROMPTS
from app.links.parsers import MAX_PACKED, Refused, Value, text_up_to
from app.text import display_text, is_text

_FORMAT, _VERSION = "headscope-findings", 1
# Bytes of a file, and of what a browser keeps.
MAX_BYTES = 900_000
# Bytes that the finding of a link may have: what is packed may stand for a thousand times as much.
_MAX_UNPACKED = 60_000
# No quantity here is larger; more digits would only stretch the page.
_LARGEST = 1e9
_ID = re.compile("[0-9a-f]{12}")
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Characters of what a refusal quotes.
_QUOTED = 40


class UnreadableFindings(ValueError):
    """What is no findings; the message is one sentence that says why."""


def to_text(findings: Sequence[Finding], indent: int | None = None) -> str:
    """Findings as JSON."""
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "findings": [_plain_finding(each) for each in findings],
    }
    separators = None if indent else (",", ":")
    return json.dumps(
        document, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )


def from_text(text: str | bytes) -> tuple[Finding, ...]:
    """Findings from JSON, every value of them checked.

    Raises:
        UnreadableFindings: It is too large or no such file, or holds what is not allowed.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise UnreadableFindings(
            f"It is larger than {MAX_BYTES // 1000} kB, so it holds no findings."
        )
    try:
        document = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_number
        )
    # Deeply nested lists exhaust the parser's stack, and long digits the reading of numbers.
    except (ValueError, RecursionError) as error:
        known = str(error) if isinstance(error, UnreadableFindings) else "It is not JSON."
        raise UnreadableFindings(known) from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise UnreadableFindings("It is not a file of findings that was saved here.")
    if document.get("version") != _VERSION:
        raise UnreadableFindings("It was saved by a newer version, which this one cannot read.")
    _fields(document, "the file", "format", "version", "findings")
    listed = _list(document["findings"], "findings", MAX_FINDINGS)
    found = tuple(_finding(each, number) for number, each in enumerate(listed, start=1))
    if len({each.id for each in found}) < len(found):
        raise UnreadableFindings("Two of its findings have the same id.")
    return found


def packed(finding: Finding) -> str | None:
    """One finding as a link holds it; None where it is too long for one."""
    data = zlib.compress(to_text([finding]).encode(), 9)
    text = base64.urlsafe_b64encode(data).decode().rstrip("=")
    return text if len(text) <= MAX_PACKED else None


def unpacked(text: str) -> Finding:
    """The finding of a link.

    Raises:
        UnreadableFindings: It is none.
    """
    if len(text) > MAX_PACKED:
        raise UnreadableFindings(f"It is longer than {MAX_PACKED:,} characters.")
    inflate = zlib.decompressobj()
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        plain = inflate.decompress(data, _MAX_UNPACKED)
    except (binascii.Error, ValueError, zlib.error):
        raise UnreadableFindings("It is cut off or was changed on the way.") from None
    if inflate.unconsumed_tail or not inflate.eof:
        raise UnreadableFindings("It is cut off, or holds more than a link may.")
    found = from_text(plain)
    if len(found) != 1:
        raise UnreadableFindings(f"A link holds one finding, and this one {len(found)}.")
    return found[0]


def _plain_finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "claim": finding.claim,
        "note": finding.note,
        "evidence": [_plain_evidence(each) for each in finding.evidence],
        "names": [
            {"model": each.model, "head": each.head.label, "name": each.name}
            for each in finding.names
        ],
    }


def _plain_evidence(evidence: Evidence) -> dict[str, Any]:
    if isinstance(evidence, View):
        return {
            "kind": "view",
            "page": evidence.page,
            "view": _texts(evidence.values),
            "title": evidence.title,
        }
    return {
        "kind": "number",
        "quantity": evidence.reading.key,
        "settings": _texts(evidence.settings),
        "value": evidence.value,
        "date": evidence.date,
    }


def _texts(values: Any) -> dict[str, str]:
    return {key: BY_KEY[key].text(value) for key, value in values.items()}


def _finding(plain: Any, number: int) -> Finding:
    where = f"finding {number}"
    _fields(plain, where, "id", "claim", "note", "evidence", "names")
    if not isinstance(plain["id"], str) or not _ID.fullmatch(plain["id"]):
        raise UnreadableFindings(f"The id of {where} is not 12 digits from 0 to f.")
    return Finding(
        plain["id"],
        _text(plain["claim"], f"The claim of {where}", MAX_CLAIM, needed=True),
        _text(plain["note"], f"The text of {where}", MAX_NOTE),
        tuple(
            _evidence(each, where)
            for each in _list(plain["evidence"], f"pieces of evidence in {where}", MAX_EVIDENCE)
        ),
        tuple(
            _name(each, where)
            for each in _list(plain["names"], f"names of heads in {where}", MAX_NAMES)
        ),
    )


def _evidence(plain: Any, where: str) -> Evidence:
    kind = plain.get("kind") if isinstance(plain, dict) else None
    if kind == "number":
        return _number(plain, where)
    if kind == "view":
        return _view(plain, where)
    raise UnreadableFindings(f"The evidence of {where} is neither a number nor a view.")


def _number(plain: dict[str, Any], where: str) -> Number:
    _fields(plain, f"a number of {where}", "kind", "quantity", "settings", "value", "date")
    quantity = plain["quantity"]
    reading = READINGS.get(quantity) if isinstance(quantity, str) else None
    if reading is None:
        raise UnreadableFindings(f"A number of {where} is of a quantity that is not known here.")
    settings = _settings(plain["settings"], where, reading)
    value, day = plain["value"], plain["date"]
    # A truth value is a number to Python.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableFindings(f"A value of {where} is not a number.")
    if not abs(value) <= _LARGEST or not math.isfinite(value):
        raise UnreadableFindings(f"A value of {where} is not a finite number that fits here.")
    if not isinstance(day, str) or not _DAY.fullmatch(day) or not _is_day(day):
        raise UnreadableFindings(f"A date of {where} is not a day such as 2026-11-26.")
    return Number(reading, settings, float(value), day)


def _settings(plain: Any, where: str, reading: Reading) -> dict[str, Value]:
    values = _values(plain, where)
    if set(values) != set(reading.settled_by(values)):
        wanted = ", ".join(reading.settled_by(values))
        raise UnreadableFindings(
            f"{reading.quantity.name} in {where} is settled by {wanted}, and by nothing else."
        )
    if left := [key for key, value in values.items() if value is None and key not in OPEN]:
        raise UnreadableFindings(f"A number of {where} leaves its {left[0]} open.")
    return {key: values[key] for key in reading.settled_by(values)}


def _view(plain: dict[str, Any], where: str) -> View:
    _fields(plain, f"a view of {where}", "kind", "page", "view", "title")
    if plain["page"] not in [page.name for page in PAGES]:
        raise UnreadableFindings(f"A view of {where} is of a page that is not here.")
    title = _text(plain["title"], f"The title of a view of {where}", MAX_TITLE)
    return View(plain["page"], _values(plain["view"], where), title)


def _values(plain: Any, where: str) -> dict[str, Value]:
    """Values of link parameters, each read as that of a link is."""
    if not isinstance(plain, dict):
        raise UnreadableFindings(f"The settings of a piece of {where} are no list of names.")
    values: dict[str, Value] = {}
    for key, text in plain.items():
        if key not in BY_KEY or key == "room":
            raise UnreadableFindings(f"“{_quoted(key)}” in {where} is no setting that is known.")
        if not isinstance(text, str) or not is_text(text) or "\0" in text:
            raise UnreadableFindings(f"The setting {key} in {where} is no text.")
        read = text_up_to(PROMPTS[key]) if key in PROMPTS else BY_KEY[key].read
        try:
            values[key] = read(text)
        except Refused as refusal:
            said = f"“{_quoted(text)}” is {refusal}"
            raise UnreadableFindings(f"The setting {key} in {where}: {said}.") from None
    model = values.get("model", "")
    if not isinstance(model, str) or len(model) > MAX_TITLE:
        raise UnreadableFindings(f"The model in {where} has no name that a model can have.")
    return values


def _name(plain: Any, where: str) -> HeadName:
    _fields(plain, f"a head's name in {where}", "model", "head", "name")
    try:
        head = Head.parse(plain["head"])
    except (ValueError, TypeError):
        raise UnreadableFindings(f"A name in {where} is of no head such as L1H4.") from None
    return HeadName(
        _text(plain["model"], f"The model of a name in {where}", MAX_TITLE, needed=True),
        head,
        _text(plain["name"], f"A head's name in {where}", MAX_NAME, needed=True),
    )


def _fields(plain: Any, what: str, *names: str) -> None:
    if not isinstance(plain, dict) or set(plain) != set(names):
        raise UnreadableFindings(f"What stands for {what} has other parts than {', '.join(names)}.")


def _list(plain: Any, what: str, most: int) -> list[Any]:
    if not isinstance(plain, list):
        raise UnreadableFindings(f"There is no list of {what}.")
    if len(plain) > most:
        raise UnreadableFindings(f"There are more than {most} {what}.")
    return plain


def _text(plain: Any, what: str, longest: int, needed: bool = False) -> str:
    if not isinstance(plain, str) or not is_text(plain) or "\0" in plain:
        raise UnreadableFindings(f"{what} is no text.")
    if len(plain) > longest:
        raise UnreadableFindings(f"{what} is longer than {longest:,} characters.")
    if needed and not plain.strip():
        raise UnreadableFindings(f"{what} is empty.")
    return plain


def _quoted(text: str) -> str:
    return display_text(text[:_QUOTED])


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON in which each name stands once: readers differ in which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnreadableFindings("It says the same thing twice.")
    return found


def _no_number(text: str) -> NoReturn:
    raise UnreadableFindings(f"It holds {text}, which is not a number.")
