"""Whether the numbers of a finding are what they were: read again, on the models that are here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from analysis.errors import AnalysisError
from app.compute.findings.finding import Finding, Number
from app.compute.findings.readings import Reading, selection_of
from app.links.parsers import Value

Word = Literal["holds", "differs", "not computed here"]
# The third digit of a page's number: other processors sum in another order, and differ by less.
RELATIVE, ABSOLUTE = 1e-3, 5e-4


@dataclass(frozen=True, slots=True)
class Check:
    """What became of a number; `now` is None, and `why` says why, where it was not computed."""

    number: Number
    word: Word
    now: float | None = None
    why: str = ""


def check(number: Number) -> Check:
    """Read a number again, and compare.

    It holds where it differs from the value that was kept by at most a thousandth of that, or by
    .0005.
    """
    try:
        now = _read(number.reading, number.settings)
    except AnalysisError as refusal:
        return Check(number, "not computed here", why=str(refusal))
    same = math.isclose(now, number.value, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return Check(number, "holds" if same else "differs", now)


def check_all(findings: Sequence[Finding]) -> list[list[Check]]:
    """The checks of every finding's numbers, in their order."""
    return [[check(number) for number in finding.numbers] for finding in findings]


def read_number(reading: Reading, settings: Mapping[str, Value]) -> Number:
    """A number as it is now.

    Raises:
        AnalysisError: It cannot be read, or is not defined on this model and input.
    """
    today = datetime.now(UTC).date().isoformat()
    # As many digits as agree between machines.
    return Number(reading, settings, float(f"{_read(reading, settings):.6g}"), today)


def _read(reading: Reading, settings: Mapping[str, Value]) -> float:
    value = reading.read(selection_of(reading, settings))
    if not math.isfinite(value):
        raise AnalysisError(f"{reading.quantity.name} is not defined there.")
    return value
