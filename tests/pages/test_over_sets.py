"""A set of prompts as the third kind of input: on pages with a mean over it, and on the others."""

import numpy as np
import pytest

import analysis
from analysis.head import Head
from analysis.models.catalog import find_model
from app.links.pages import PAGES
from tests.pages.test_pages import Open, address, expect_well, open_at, said, text_of
from tests.pages.test_sets import FEW, OWN, titles, words

__all__ = ["open_at"]

SET = {"input": "set", **FEW}
MEASURED = {
    "attention": {"measure": "attention"},
    "finder": {"measure": "score"},
    "induction": {"measure": "score"},
    "attribution": {"measure": "direct"},
    "ablation": {"measure": "ablation"},
    "patching": {"measure": "patching"},
}
WITHOUT = [p.name for p in PAGES if p.asks == "input" and not p.over_sets]


def test_every_page_that_takes_sets_is_compared_with_the_page_of_sets() -> None:
    assert {page.name for page in PAGES if page.over_sets} == {*MEASURED, "compare"}


@pytest.mark.parametrize("name", MEASURED)
def test_a_set_is_an_input_whose_figure_is_that_of_the_page_of_sets(
    open_at: Open, name: str
) -> None:
    app = open_at(name, **SET)
    expect_well(app)
    assert said(app) == []
    assert app.segmented_control(key="view.input").value == "set"
    assert address(app)["input"] == "set"
    same = open_at("sets", **MEASURED[name], **FEW)
    assert titles(app) == titles(same)
    assert [each.value for each in app.caption if "Mean over 4 prompts" in each.value] == [
        each.value for each in same.caption if "Mean over 4 prompts" in each.value
    ]


def test_the_input_is_chosen_in_the_sidebar_and_stays_on_the_way(open_at: Open) -> None:
    app = open_at("ablation", length="12", batch="2", **FEW)
    app.segmented_control(key="view.input").set_value("set").run()
    app.selectbox(key="view.set").set_value("plural").run()
    expect_well(app)
    assert address(app) == {"input": "set", "set": "plural", **FEW} | {"length": "12", "batch": "2"}
    app.switch_page("pages/attribution.py").run()
    assert address(app)["set"] == "plural"
    assert "Mean over 4 prompts" in words(app)


@pytest.mark.parametrize("name", WITHOUT)
def test_a_page_without_a_mean_over_a_set_says_what_it_shows_and_keeps_the_set(
    open_at: Open, name: str
) -> None:
    app = open_at(name, **SET)
    expect_well(app)
    (note,) = said(app)
    shown = app.segmented_control(key="view.input").value
    assert ("repeated tokens" if shown == "repeated" else "a prompt") in note
    assert "set" not in app.segmented_control(key="view.input").options
    app.switch_page("pages/finder.py").run()
    assert address(app)["input"] == "set"
    assert said(app) == []


def test_rows_of_ones_own_are_the_input_and_a_row_opens_by_itself(open_at: Open) -> None:
    app = open_at("attention", input="set", set="own", lines=OWN, to="end", of="it")
    expect_well(app)
    assert "Mean over 2 prompts" in words(app)
    links = [link.proto.query_string for link in app.main.get("page_link")]
    assert [link for link in links if "prompt=The+old+cat" in link and "input=set" not in link]


def test_what_replaces_a_head_over_a_set_is_not_said_of_the_prompt(open_at: Open) -> None:
    """A prompt that nobody runs was set against the reference text, or refused the page."""
    app = open_at("sets", measure="ablation", method="mean", prompt=" ", **FEW)
    expect_well(app)
    assert not [each for each in app.caption if "reference text" in each.value]
    assert "Mean over 4 prompts" in words(app)


def test_two_heads_are_compared_prompt_by_prompt(open_at: Open) -> None:
    heads = {"layer": "1", "head": "2", "layer2": "1", "head2": "4"}
    app = open_at("compare", by="head", measure="score", score="previous", **heads, **SET)
    expect_well(app)
    rows = next(each.value for each in app.dataframe if "A − B" in each.value)
    model = analysis.load_model("attn-only-2l")
    prompts = analysis.prompt_set(model, "indirect-object", count=4)
    first, second = (
        [
            analysis.attention_patterns(model, analysis.tokenize(model, text)).values[0, 1, head]
            .diagonal(-1).mean()
            for text in prompts.prompts
        ]
        for head in (2, 4)
    )  # fmt: skip
    less = np.subtract(first, second)
    np.testing.assert_allclose(rows["A − B"], np.sort(less)[::-1], atol=1e-6)
    assert f"{less.mean():+.3f} [" in text_of(words(app))
    assert f"above 0 on {(less > 0).sum()} of 4 prompts" in words(app)


def test_prompts_and_corrupt_ones_are_compared_with_intervals_for_every_head(open_at: Open) -> None:
    app = open_at("compare", by="prompt", measure="ablation", **SET)
    expect_well(app)
    assert titles(app)[0].endswith("prompts less corrupt ones: every head")
    assert app.selectbox(key="view.measure").options == ["Attention between places", "A score"]


def test_what_the_loss_of_a_head_changes_is_shown_for_every_head_with_intervals(
    open_at: Open,
) -> None:
    places = {"to": "subject again", "of": "subject"}
    app = open_at(
        "compare", measure="ablation", ablate="L0H0", layer="1", head="2", **places, **SET
    )
    expect_well(app)
    assert app.selectbox(key="view.measure").options == [
        *("Attention between places", "A score", "Direct effect on the answer"),
    ]
    assert titles(app)[:2] == [
        "Attention from “subject again” to “subject”, without L0H0 less with it: every head",
        "Largest differences",
    ]
    rows = next(each.value for each in app.dataframe if "Attention" in each.value)
    model = analysis.load_model("attn-only-2l")
    prompts = analysis.prompt_set(model, "indirect-object", count=4)
    change = []
    for row in analysis.fit_set(model, prompts).rows:
        tokens = analysis.tokenize(model, prompts.prompts[row.index])
        to, of = row.places["subject again"], row.places["subject"]
        without, whole = (
            analysis.attention_patterns(model, tokens, (1,), gone).values[0, 0, 2, to, of]
            for gone in ((Head(0, 0),), ())
        )
        change.append(without - whole)
    np.testing.assert_allclose(rows["Attention"], np.sort(change)[::-1], atol=1e-6)


def test_two_models_are_compared_on_the_same_prompts(open_at: Open) -> None:
    """A set that comes with the app has other words for each model."""
    heads = {"layer": "1", "head": "2", "layer2": "3", "head2": "4", "model2": "gelu-4l"}
    app = open_at("compare", by="model", measure="score", score="previous", **heads, **SET)
    expect_well(app)
    rows = next(each.value for each in app.dataframe if "A − B" in each.value)
    texts = list(rows["Prompt"])
    for name, layer, head in (("attn-only-2l", 1, 2), ("gelu-4l", 3, 4)):
        model = analysis.load_model(name)
        found = [
            analysis.attention_patterns(model, analysis.tokenize(model, text)).values[
                0, layer, head
            ].diagonal(-1).mean()
            for text in texts
        ]  # fmt: skip
        column = next(
            each for each in rows if f"L{layer}H{head} of {find_model(name).title}" in each
        )
        np.testing.assert_allclose(rows[column], found, atol=1e-6)


ONE_INPUT = [
    *MEASURED,
    *("compare", "head", "intervene", "activations"),
]


@pytest.mark.parametrize("name", ONE_INPUT)
def test_figures_of_one_input_lead_to_a_set_and_to_where_else_in_text(
    open_at: Open, name: str
) -> None:
    app = open_at(name, layer="1", head="2", length="9", batch="2")
    expect_well(app)
    links = {link.proto.label: link.proto for link in app.main.get("page_link")}
    assert links["Where else in text does L1H2 act?"].page.endswith("corpus")
    if name in MEASURED or name == "compare":
        next(b for b in app.button if b.label == "The same over a set of prompts").click().run()
        expect_well(app)
        assert address(app)["input"] == "set"
    else:
        assert links["What L1H2 does over a set of prompts"].page.endswith("sets")
