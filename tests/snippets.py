"""Running the code that figures offer, and comparing its numbers with what figures export."""

import re
from collections.abc import Iterable
from functools import cache

import numpy as np
import torch

from analysis.models.catalog import BUNDLED
from app.frame.export import Frame
from app.frame.snippets import snippet
from app.links.subject import Subject

_LOADED = "n_layers, n_heads, d_head = "
# Columns of exported tables that no quantity of the frame is: levels that a reader compares with,
# and numbers that stand beside others in text.
_SPREADS = (" sd", " chance")  # likewise, by the ends of their names
_BESIDE = {"Chance", "Spread", "Chance in A", "Share", "Rank", "Position", "Id", "text"}
# A head on random tokens, beside itself on text.
_BESIDE |= {"On random tokens", "Chance there"}


@cache
def _loaded(loading: str) -> dict[str, object]:
    """What the first part of a program for a bundled model defines; it takes the longest."""
    names: dict[str, object] = {}
    # A notebook beside the folder of models; the tests may run from anywhere.
    code = loading.replace('Path("models")', f"Path({str(BUNDLED)!r})")
    exec(compile(code, "load", "exec"), names)
    return names


def run(code: str) -> list[np.ndarray]:
    """Run one program, or both sides of a comparison; every array that it prints as `result`."""
    found: list[np.ndarray] = []
    before = torch.is_grad_enabled()
    try:
        names: dict[str, object] = {}
        for side in re.split(r"^# (?:A|B|A less B)$", code, flags=re.MULTILINE):
            if side.strip():
                found += _run_one(side, names)
    finally:
        torch.set_grad_enabled(before)
    return found


def _run_one(code: str, names: dict[str, object]) -> list[np.ndarray]:
    """One program; `names` are what those before it have defined, as in one notebook."""
    constants, _, program = code.partition("\n\n")
    own = [line for line in constants.splitlines() if line.startswith(("NAME", "WEIGHTS", "BOS"))]
    results: list[np.ndarray] = []
    names["take"] = lambda value: results.append(value.numpy().copy())
    loads, mark, rest = program.partition(_LOADED)
    if mark:
        sizes, _, rest = rest.partition("\n")
        names |= _loaded("\n".join([*own, loads, mark + sizes]))
    else:  # what is made of both sides
        rest = loads
    torch.set_grad_enabled(False)
    rest = rest.replace('Path("analysis/', f'Path("{BUNDLED.parent}/analysis/')
    shown = rest.replace("print(result)", "take(result.detach())")
    exec(compile(f"{constants}\n{shown}", "snippet", "exec"), names)
    return results


def exported(frame: Frame) -> np.ndarray:
    """Every number in the tables of a figure that is no place, rank or level."""
    found: list[float] = []
    for exhibit in frame.exhibits:
        table = exhibit.table()
        columns = [
            i
            for i, name in enumerate(table.columns)
            if name not in _BESIDE and not name.endswith(_SPREADS)
        ]
        for row in table.rows():
            found += [float(row[i]) for i in columns if isinstance(row[i], float)]
    return _fractions([np.array(found)])


def _fractions(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The numbers that are no whole ones, sorted: 0, 1 and counts prove nothing."""
    joined = np.concatenate([np.asarray(each, float).ravel() for each in arrays] or [np.empty(0)])
    finite = joined[np.isfinite(joined)]
    return np.unique(finite[np.abs(finite - np.rint(finite)) > 1e-6])


def _all_among(some: np.ndarray, others: np.ndarray) -> bool:
    """Whether each of some numbers stands among others, as exactly as a file writes it."""
    if not len(others):
        return not len(some)
    place = np.searchsorted(others, some).clip(1, len(others) - 1) if len(others) > 1 else 0
    near = np.minimum(np.abs(others[place] - some), np.abs(others[np.maximum(place, 1) - 1] - some))
    # Float32 of numbers that are sums of some as large as the largest.
    least = max(1, 1e-2 * float(np.abs(others).max()))
    return bool((near <= 1e-4 * np.maximum(least, np.abs(some))).all())


def agrees(frame: Frame, subject: Subject | None = None) -> bool | None:
    """Whether the code of a figure gives its numbers; None where it has no code or no numbers.

    Either the figure shows part of what the code gives (the ten largest), or the code gives part
    of what the figure shows (one of two maps). `subject` is what the code is made for, by default
    what the figure is about.
    """
    code = snippet(frame.quantities, subject or frame.subject)
    if code is None:
        return None
    there, found = exported(frame), _fractions(run(code))
    if not len(there) or not len(found):
        return None
    return _all_among(there, found) or _all_among(found, there)
