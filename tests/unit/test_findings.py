"""Findings: what a file may hold, what is refused, and whether numbers that are kept hold."""

import base64
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.head import Head
from app.compute.findings.check import check, read_number
from app.compute.findings.file import (
    MAX_BYTES,
    UnreadableFindings,
    from_text,
    packed,
    to_text,
    unpacked,
)
from app.compute.findings.finding import MAX_FINDINGS, Finding, Number, View
from app.compute.findings.readings import READINGS
from app.frame.report import number_code, to_markdown, to_notebook, to_page
from app.links.parsers import Value
from headscope.opening import address_of
from tests.hostile import CANARY, HOSTILE, PAYLOADS
from tests.snippets import run

MODEL = "attn-only-2l"
PROMPT = "The cat sat. The cat saw the dog, and the dog sat."
# Whatever a number may be settled by.
SETTINGS: dict[str, Value] = {
    **{"model": MODEL, "input": "repeated", "length": 9, "batch": 2, "seed": 0},
    **{"prompt": PROMPT, "bos": True, "layer": 1, "head": 4, "sequence": 1, "dest": 12, "src": 4},
    **{"method": "zero", "swap": 0, "position": 5, "answer": None, "foil": None, "kind": "K"},
    **{"layer2": 0, "head2": 0, "set": "indirect-object", "rows": 4, "role": "name-mover"},
    **{"group": "L1H3", "to": "end", "of": "answer", "side": "prompt"},
}
# Roles alone are many; one of each kind of screen.
KEYS = [
    *(key for key in READINGS if not key.startswith("role-")),
    *("role-duplicate-on-text", "role-induction"),
]


def number(key: str, value: float = 0.5, **others: Value) -> Number:
    reading = READINGS[key]
    return Number(reading, reading.settings_from(SETTINGS, **others), value, "2026-11-26")


def finding(**others: Any) -> Finding:
    evidence = (number("induction"), View("head", {"model": MODEL, "layer": 1}, "Where it looks"))
    made = Finding("0" * 12, "L1H4 copies", "Seen by\nme", evidence)
    return replace(made.with_name(MODEL, Head(1, 4), "Echo"), **others)


@pytest.mark.parametrize("key", KEYS)
def test_a_number_is_what_its_code_gives_in_plain_transformer_lens(key: str) -> None:
    """The program of the notebook knows nothing of our functions."""
    kept = read_number(READINGS[key], READINGS[key].settings_from(SETTINGS))
    assert check(kept).word == "holds"
    code = number_code(kept)
    assert code
    program, _, rest = code.partition("\nnow = ")
    assert 'print(now, "holds"' in rest
    taken = f"{program}\nresult = {kept.reading.take(kept.selection())}\nprint(result)\n"
    np.testing.assert_allclose(run(taken)[-1], kept.value, rtol=1e-4, atol=1e-5)


def test_another_value_differs_and_the_check_says_what_it_is_now() -> None:
    kept = read_number(READINGS["loss"], READINGS["loss"].settings_from(SETTINGS))
    for factor, word in ((1, "holds"), (1.0005, "holds"), (1.002, "differs"), (-1, "differs")):
        found = check(replace(kept, value=kept.value * factor))
        assert found.word == word, factor
        assert found.now == pytest.approx(kept.value, rel=1e-5)


@pytest.mark.parametrize(
    ("key", "others", "why"),
    [
        ("induction", {"model": "no-such-model"}, "no model of that name here"),
        ("induction", {"layer": 7}, "no layer 7"),
        ("pattern", {"dest": 4, "src": 12}, "does not come after"),
        ("pattern", {"dest": 500}, "destination is below 19"),
        ("attribution", {"position": 99}, "no position 99"),
        ("attribution", {"answer": " two tokens"}, "not one"),
        ("second_half_loss", {"input": "prompt"}, "about repeated tokens"),
        ("composition", {"layer": 0}, "not defined"),
        ("loss", {"input": "prompt", "prompt": ""}, "no text"),
    ],
)
def test_what_cannot_be_read_here_is_said_and_not_guessed(
    key: str, others: dict[str, Value], why: str
) -> None:
    found = check(number(key, **others))
    assert found.word == "not computed here"
    assert found.now is None
    assert why in found.why


@pytest.mark.parametrize("kind", ["prompt", "chat", "repeated"])
def test_a_number_holds_what_its_model_was_run_on_and_nothing_of_other_inputs(kind: str) -> None:
    made = number("induction", input=kind, chat="user: A cat\nassistant: sat")
    held = {"prompt": {"prompt", "bos"}, "chat": {"chat"}, "repeated": {"length", "batch", "seed"}}
    assert set(made.settings) == {"model", "input", "layer", "head"} | held[kind]
    assert from_text(to_text([finding(evidence=(made,))]))[0].evidence == (made,)
    assert made.link[1].get("input", "prompt") == kind
    assert {"prompt": "prompt “", "chat": "conversation “"}.get(kind, "random tokens") in made.said


def test_a_file_and_a_link_give_back_what_they_were_made_of() -> None:
    made = finding()
    assert from_text(to_text([made])) == (made,)
    assert from_text(to_text([made], indent=1).encode()) == (made,)
    text = packed(made)
    assert text
    assert unpacked(text) == made
    noise = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=5_000))
    assert packed(replace(made, note=noise)) is None


def _with(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    *outer, last = path.split(".")

    def change(document: dict[str, Any]) -> None:
        place: Any = document["findings"][0]
        for key in outer:
            place = place[int(key) if key.isdigit() else key]
        place[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (_with("evidence.0.value", True), "not a number"),
        (_with("evidence.0.value", "0.5"), "not a number"),
        (_with("evidence.0.value", 10**400), "finite"),
        (_with("evidence.0.value", 1e12), "finite"),
        (_with("evidence.0.date", "2026-13-01"), "not a day"),
        (_with("evidence.0.quantity", "__class__"), "not known here"),
        (_with("evidence.0.quantity", ["induction"]), "not known here"),
        (_with("evidence.0.code", "import os"), "other parts"),
        (_with("evidence.0.kind", "program"), "neither a number nor a view"),
        (_with("evidence.0.settings.layer", "-1"), "whole number"),
        (_with("evidence.0.settings.layer", 1), "no text"),
        (_with("evidence.0.settings.dest", "3"), "by nothing else"),
        (_with("evidence.0.settings.room", "A" * 16), "no setting"),
        (_with("evidence.0.settings.model", "../" * 100), "no name"),
        (_with("evidence.0.settings", []), "no list of names"),
        (_with("evidence.1.page", f"https://{CANARY}/head"), "not here"),
        (_with("evidence.1.view.layer", f"https://{CANARY}"), "whole number"),
        (_with("evidence.1.title", "x" * 201), "longer than 200"),
        (_with("evidence", [{}] * 21), "more than 20"),
        (_with("names.0.head", "L1H4x"), "no head"),
        (_with("names.0.name", "x" * 41), "longer than 40"),
        (_with("claim", ""), "empty"),
        (_with("claim", "\ud800"), "no text"),
        (_with("claim", "a\0b"), "no text"),
        (_with("claim", 3), "no text"),
        (_with("note", "x" * 5_001), "longer than 5,000"),
        (_with("id", "../../../etc"), "12 digits"),
        (lambda document: document["findings"].append(document["findings"][0]), "same id"),
        (lambda d: d.update(findings=d["findings"] * (MAX_FINDINGS + 1)), "more than 50"),
        (lambda document: document.update(version=2), "newer version"),
        (lambda document: document.update(format="other"), "not a file of findings"),
        (lambda document: document.update(more=1), "other parts"),
    ],
)
def test_a_file_that_holds_anything_else_is_refused_in_a_sentence(
    change: Callable[[dict[str, Any]], None], refusal: str
) -> None:
    document = json.loads(to_text([finding()]))
    change(document)
    with pytest.raises(UnreadableFindings, match=refusal) as refused:
        from_text(json.dumps(document))
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("[]", "not a file of findings"),
        ('{"format": NaN}', "NaN"),
        ('{"format": 1e999}', "not a file of findings"),
        ('{"format": "a", "format": "b"}', "twice"),
        (f'{{"format": {"9" * 5_000}}}', "not JSON"),
        (" " * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_file_of_findings_is_refused(text: str | bytes, refusal: str) -> None:
    with pytest.raises(UnreadableFindings, match=refusal):
        from_text(text)


def test_any_damage_to_a_file_or_link_is_read_or_refused_and_never_fails() -> None:
    draw = random.Random(1)
    whole = to_text([finding()], indent=1)
    values = [
        "null",
        "-0",
        "1e400",
        "[]",
        "{}",
        '"\\ud800"',
        "NaN",
        "true",
        '"</b>"',
        "9" * 40,
    ]
    read = 0
    for _ in range(2_000):
        text = list(whole)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(text))
            text[at : at + draw.randint(0, 9)] = draw.choice(
                [draw.choice(values), chr(draw.randrange(0x500)), ""]
            )
        try:
            from_text("".join(text))
            read += 1
        except UnreadableFindings as refusal:
            assert str(refusal).endswith(".")
            assert len(str(refusal)) < 400
    assert 0 < read < 1_000  # a letter of the claim may be any other
    link = packed(finding())
    assert link
    for _ in range(500):
        at = draw.randrange(len(link))
        cut = link[:at] + draw.choice("ABCabc012-_") + link[at + draw.randint(0, 3) :]
        try:
            unpacked(cut)
        except UnreadableFindings as refusal:
            assert str(refusal).endswith(".")


def test_a_link_that_stands_for_very_much_is_refused_before_it_is_unpacked() -> None:
    bomb = zlib.compress(b" " * 2_000_000, 9)
    text = base64.urlsafe_b64encode(bomb).decode().rstrip("=")
    assert len(text) < 4_000
    with pytest.raises(UnreadableFindings, match="more than a link may"):
        unpacked(text)


def _address(page: str, link: dict[str, str]) -> str:
    return f"http://127.0.0.1{address_of(page, link)}"


@pytest.mark.parametrize("text", [*HOSTILE, *PAYLOADS, "a\n# b\n```", "[x](http://canary.invalid)"])
def test_hostile_text_is_text_in_every_export(text: str) -> None:
    nul = text.replace("\0", "")
    kept = number("loss", input="prompt", prompt=nul)
    made = finding(claim=nul or "x", note=nul, evidence=(kept, View("head", {}, nul[:200])))
    made = made.with_name(MODEL, finding().names[0].head, (nul or "x")[:40])
    checks = [[check(kept)]]
    page = to_page([made], checks, _address).decode()
    assert page.count("<") == page.count("</") * 2 + page.count("<meta") + page.count("<br>") + 1
    assert f'href="http://{CANARY}' not in page
    marked = to_markdown([made], checks, _address).decode()
    # A link is what we have written: its brackets have no backslash.
    links = marked.replace("\\]", "").split("](")[1:]
    assert len(links) == 2
    assert all(part.startswith("http://127.0.0.1/") for part in links)
    assert "<" not in marked.replace("\\<", "")
    notebook = json.loads(to_notebook([made]))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            assert "<" not in cell["source"].replace("\\<", "")
        else:
            compile(cell["source"], "cell", "exec")
            constants = cell["source"].partition("\n\n")[0]
            assert f"PROMPT = {nul!r}" in constants.splitlines()


def test_a_notebook_is_one_by_the_format_of_jupyter() -> None:
    nbformat = pytest.importorskip("nbformat")
    document = nbformat.reads(to_notebook([finding()]).decode(), as_version=4)
    nbformat.validate(document)
    assert [cell.cell_type for cell in document.cells] == ["markdown"] * 3 + ["code"]


def test_a_number_of_a_model_that_is_not_here_is_said_so_in_the_notebook() -> None:
    made = finding(evidence=(number("induction", model="no-such-model"),))
    last = json.loads(to_notebook([made]))["cells"][-1]
    assert last["cell_type"] == "markdown"
    assert "Not computed here" in last["source"]
