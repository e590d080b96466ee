"""The table of the course's figures, on a random model of the same format."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis import course
from analysis.models import catalog
from analysis.models.catalog import BUNDLED
from analysis.models.convert import convert_state_dict
from tests.conftest import make_model, state_dict


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a random model in the place of the course's."""
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path))
    catalog.refresh()

    def install(n_heads: int) -> None:
        model = make_model(n_heads=n_heads, n_ctx=160, positions="shortformer")
        tokenizer = BUNDLED / "attn-only-2l" / "tokenizer.json"
        convert_state_dict(course.MODEL, state_dict(model), tokenizer)

    yield install
    monkeypatch.undo()
    catalog.refresh()


def test_every_figure_has_a_line_and_a_random_model_has_none_of_them(install, capsys) -> None:
    install(12)
    assert course.main() == 1
    header, *lines, last = capsys.readouterr().out.splitlines()
    assert header.split() == ["figure", "course", "ours", "within"]
    assert len(lines) == len(course.FIGURES)
    for line, figure in zip(lines, course.FIGURES, strict=True):
        assert line.startswith(figure.section)
        assert figure.name in line
    held = [line for line in lines if line.endswith("  agrees")]
    assert all(line.endswith("  DIFFERS") for line in lines if line not in held)
    assert last == f"{len(held)} of {len(lines)} figures agree with the course."
    # By chance a random model may have a strongest head in the right place.
    assert len(held) < 5


def test_a_figure_holds_within_its_tolerance_only() -> None:
    number = course.Figure("0", "a number", 0.5, 0.01, lambda _: 0.509)
    words = course.Figure("0", "heads", "L0H7", 0.0, lambda _: "L0H7")
    measured = object.__new__(course.Measured)  # neither looks at it
    for figure, holds in (
        (number, True),
        (replace(number, ours=lambda _: 0.511), False),
        (replace(number, ours=lambda _: np.nan), False),
        (words, True),
        (replace(words, ours=lambda _: "L0H7 L1H4"), False),
    ):
        line, found = course.compare(figure, measured)
        assert found == holds
        assert line.endswith("agrees" if holds else "DIFFERS")


def test_without_the_weights_it_says_how_to_bring_them(install, capsys) -> None:
    assert course.main() == 1
    said = capsys.readouterr().out
    assert said.startswith("attn-only-2L-half is not on this machine. Fetch its weights")
    assert "analysis.models.convert attn-only-2L-half" in said


def test_a_model_that_lacks_the_courses_heads_is_refused(install, capsys) -> None:
    install(4)
    assert course.main() == 1
    assert "L1H11 was asked for" in capsys.readouterr().out
