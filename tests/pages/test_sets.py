"""The page of sets: every measure with its interval, rows of one's own, and what links hold."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import analysis
from analysis.definitions import SCORES
from app.links.link import own_set
from tests.pages.test_pages import Open, address, expect_well, open_at, text_of

__all__ = ["open_at"]

FEW = {"rows": "4"}
OWN = (
    "prompt,corrupt,answer,foil,place:it\n"
    "The old cat sat by the old,The red cat sat by the red, cat, house,cat\n"
    "One day the dog saw a cat and the dog,One day the cat saw a dog and the cat, saw, cat,dog#2\n"
)


def words(app: AppTest) -> str:
    return " ".join([*(each.value for each in app.caption), *(each.value for each in app.text)])


def titles(app: AppTest) -> list[str]:
    return [text_of(each.value) for each in app.subheader]


@pytest.mark.parametrize("measure", ["attention", "score", "direct", "ablation", "patching"])
def test_every_measure_has_a_mean_with_an_interval(open_at: Open, measure: str) -> None:
    app = open_at("sets", measure=measure, score="previous", **FEW)
    expect_well(app)
    assert "Mean over 4 prompts" in words(app)
    assert titles(app)[0].endswith(": every head")
    assert "[" in words(app)
    assert "95 % intervals" in words(app)


def test_the_numbers_are_those_of_the_analysis(open_at: Open) -> None:
    app = open_at("sets", model="gelu-4l", to="end", of="subject", layer="1", head="2", **FEW)
    expect_well(app)
    model = analysis.load_model("gelu-4l")
    prompts = analysis.prompt_set(model, "indirect-object", count=4)
    found = analysis.attention_by_row(model, prompts, "end", "subject")
    rows = next(each.value for each in app.dataframe if "Attention" in each.value)
    values = found.values[:, 1, 2]
    np.testing.assert_allclose(rows["Attention"], np.sort(values)[::-1], atol=1e-6)
    assert list(rows["Row"]) == [row + 1 for row in np.argsort(-values, kind="stable")]


def test_rows_of_ones_own_are_read_with_their_places(open_at: Open) -> None:
    app = open_at("sets", set="own", lines=OWN, to="end", of="it")
    expect_well(app)
    assert "Mean over 2 prompts" in words(app)
    assert address(app)["lines"] == OWN
    read = next(each.value for each in app.dataframe if "At it" in each.value)
    assert list(read["Prompt"]) == [line.split(",")[0] for line in OWN.splitlines()[1:]]


def test_a_bad_row_is_named_and_the_others_are_used(open_at: Open) -> None:
    bad = f"{OWN}No answer of one token,,incomprehensibilities and more, b,\n"
    app = open_at("sets", set="own", lines=bad, to="end", of="it")
    expect_well(app)
    assert "Row 3 is left out" in words(app)
    assert "Mean over 2 prompts" in words(app)


def test_every_kind_of_bad_row_is_a_sentence_beside_the_good_ones(open_at: Open) -> None:
    rows = (
        *("prompt,answer,foil", "The old cat sat by the old,cat,house", "=1+1|cmd the,dog,cat"),
        *("The old cat sat by the old,cat,house", "One day the dog,incomprehensibilities,cat"),
        *("One day the cat,dog, dog", "שלום עולם \u202eabc the,cat,dog", "a,b,c,d"),
    )
    app = open_at("sets", set="own", lines="\n".join(rows), measure="ablation")
    expect_well(app)
    for said in (
        "begins as a formula does",
        "Line 4 repeats line 2",
        "Row 3 is left out: “incomprehensibilities” is",
        "are the same token",
        "Line 8 has 4 cells for 3 columns",
        "Mean over 3 prompts (2 of the set",
    ):
        assert said in text_of(words(app))


def test_what_a_set_lacks_is_said_and_the_rows_stay(open_at: Open) -> None:
    plain = "One day the cat sat\nA house by the sea"
    app = open_at("sets", set="own", lines=plain, measure="direct")
    assert not app.exception
    assert "need an answer in every row" in words(app)
    assert next(area for area in app.text_area if area.label == "Rows").value == plain
    assert titles(app)[-1] == "The set"
    twice = open_at("sets", set="own", lines=plain, measure="score", side="difference")
    assert "has no corrupt prompt" in words(twice)


def test_no_rows_yet_and_rows_that_a_link_has_no_room_for(open_at: Open) -> None:
    assert "no rows yet" in words(open_at("sets", set="own"))
    lost = open_at("sets", set="own", hash="0123456789abcdef")
    assert "no room for (their hash is 0123456789abcdef)" in words(lost)


def test_long_rows_are_in_the_link_by_their_hash(open_at: Open) -> None:
    app = open_at("sets", set="own", lines=OWN)
    long = "\n".join(f"One day the cat sat by the sea {number}" for number in range(100))
    next(area for area in app.text_area if area.label == "Rows").set_value(long).run()
    assert "Mean over" in words(app) or "nothing to measure" in words(app)
    link = address(app)
    assert (link["set"], link["hash"]) == ("own", own_set(long).hash)
    assert f"their hash is {link['hash']}" in words(app)
    assert "lines" not in link


@pytest.mark.parametrize("score", list(SCORES)[:3])
def test_the_code_of_a_score_is_that_of_the_score_on_these_rows(open_at: Open, score: str) -> None:
    app = open_at("sets", measure="score", score=score, side="prompt", **FEW)
    expect_well(app)
    assert SCORES[score].name in titles(app)[0]  # type: ignore[index]
