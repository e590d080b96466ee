"""A forward pass as the browser gets it, and what it may say back."""

import json

import numpy as np
import pytest

from analysis.head import Head
from app.components.exchange import Exchange
from app.components.forward_pass.payload import MOST_ARCS, Pass, pass_payload
from app.components.forward_pass.view import LEAST, PassView
from app.sections import layers
from tests.hostile import HOSTILE
from tests.views import view

BEGUN = Exchange.after(None, PassView(1, 0.25, True), None)


def read(payload: bytes):  # noqa: ANN202
    length = int.from_bytes(payload[:4], "little")
    header = json.loads(payload[4 : 4 + length])
    return header, np.frombuffer(payload[4 + length :], "<u2").reshape(-1, 4)


def played(patterns: np.ndarray, labels: list[str]) -> Pass:
    depths = len(patterns) + 1
    ids = np.tile([3, 5], (depths, 1))
    probs = np.tile([0.75, 0.25], (depths, 1)).astype(np.float32)
    return Pass(labels, patterns, ids, probs, [["a", "b"]] * depths, 1, (Head(0, 1),))


def test_an_arc_leads_to_an_earlier_token_and_carries_its_attention() -> None:
    patterns = np.zeros((1, 2, 3, 3), np.float32)
    patterns[0, :, 0, 0] = 1
    patterns[0, 0, 1], patterns[0, 0, 2] = [0.25, 0.75, 0], [0.05, 0.5, 0.45]
    patterns[0, 1, 1], patterns[0, 1, 2] = [1, 0, 0], [0.04, 0.06, 0.9]
    header, arcs = read(pass_payload(played(patterns, ["x", "y", "z"]), "key", BEGUN))
    assert header["arcs"] == [3]
    assert arcs[:, :3].tolist() == [[1, 1, 0], [0, 2, 1], [0, 1, 0]]
    np.testing.assert_allclose(arcs[:, 3] / 65535, [1, 0.5, 0.25], atol=1e-5)
    assert header["off"] == ["L0H1"]
    assert header["command"] == {"number": 0, "depth": 1, "least": 0.25, "toFirst": True}
    assert header["guesses"][1] == [
        {"id": 3, "text": "a", "p": 0.75},
        {"id": 5, "text": "b", "p": 0.25},
    ]


def test_of_many_arcs_the_strongest_are_sent() -> None:
    patterns = np.full((1, 40, 40, 40), LEAST, np.float32)
    patterns[0, 7, 30, 4] = 0.5
    header, arcs = read(pass_payload(played(patterns, ["t"] * 40), "key", BEGUN))
    assert header["arcs"] == [MOST_ARCS]
    assert arcs[0].tolist() == [7, 30, 4, round(0.5 * 65535)]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_labels_stay_text_in_the_header(text: str) -> None:
    header, _ = read(pass_payload(played(np.ones((1, 1, 1, 1), np.float32), [text]), "key", BEGUN))
    assert len(header["labels"]) == 1


@pytest.mark.parametrize("label", ["L0H1", "L1H3"])
def test_a_head_is_switched_off_and_on_again(monkeypatch: pytest.MonkeyPatch, label: str) -> None:
    chosen: list[dict[str, str]] = []
    monkeypatch.setattr(layers, "choose", lambda **values: chosen.append(values))
    selection = view("layers")
    layers._switch(selection, (Head(0, 1),), label)
    assert chosen == [{"off": "" if label == "L0H1" else "L0H1,L1H3"}]


@pytest.mark.parametrize("label", ["L9H0", "L0H99", "", "<script>", "L0H1,L0H2", "L-1H0"])
def test_what_is_no_head_of_the_model_switches_nothing(
    monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    chosen: list[dict[str, str]] = []
    monkeypatch.setattr(layers, "choose", lambda **values: chosen.append(values))
    layers._switch(view("layers"), (), label)
    assert chosen == []


@pytest.mark.parametrize(
    ("raw", "view"),
    [
        ({"depth": 3, "least": 0.15000000000000002, "toFirst": True}, PassView(3, 0.15, True)),
        ({"depth": None, "least": 1, "number": 4}, PassView(None, 1.0, False)),
        ({"depth": True, "least": 0.4}, None),
        ({"depth": -1, "least": 0.4}, None),
        ({"depth": 2.5, "least": 0.4}, None),
        ({"depth": 2, "least": float("nan")}, None),
        ({"depth": 2, "least": 0.05}, None),
        ({"depth": 2}, None),
        ("<b>", None),
        (None, None),
    ],
)
def test_what_a_browser_reports_is_a_view_or_nothing(raw: object, view: PassView | None) -> None:
    assert PassView.from_browser(raw) == view
