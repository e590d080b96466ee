"""The patching page: prompts that fit and that do not, presets, exact values, the circuit."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.sections.patching.prompts import PAIR_PRESETS
from tests.hostile import ODD, SCRIPTS
from tests.pages.test_pages import (  # noqa: F401 - open_at is a fixture
    Open,
    address,
    charts,
    expect_well,
    open_at,
    said,
    text_of,
)

SMALL = {"length": "20", "batch": "3"}
TITLES = [
    "A clean and a corrupt prompt",
    "Quick look: every patch, estimated",
    "Patching z, exactly",
    "Which earlier head does it come through?",
    "Find the circuit",
]


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def titles(app: AppTest) -> list[str]:
    return [text_of(heading.value) for heading in app.subheader]


def captions(app: AppTest) -> str:
    return "\n".join(text_of(caption.value) for caption in app.caption)


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()


def test_the_defaults_show_a_large_difference_and_the_circuit(open_at: Open) -> None:  # noqa: F811
    app = open_at("patching")
    expect_well(app)
    assert titles(app) == TITLES
    shown = metrics(app)
    assert float(shown["Logit difference, clean"]) > 5
    assert float(shown["Logit difference, corrupt"]) < -5
    assert shown["Edges kept"] == "8 of 208"
    assert 0.8 < float(shown["Faithfulness"].rstrip("%")) / 100 < 1.1
    # The circuit is that of the pair: without its edges the answer is gone.
    assert float(shown["Logit difference, these"]) > 5
    edges = app.main.dataframe[-1].value
    paths = {f"L0H0 → L1H{head}.K" for head in (1, 4, 6)}
    assert paths | {f"L1H{head} → logits" for head in (1, 4, 6)} <= set(edges["Edge"])
    assert address(app) == {}


def test_the_circuit_is_that_of_the_pair_whatever_the_input(open_at: Open) -> None:  # noqa: F811
    """It was that of the prompt in the sidebar."""
    tables = [
        open_at("patching", **query).main.dataframe[-1].value
        for query in ({}, {"input": "prompt", "prompt": "Call me Ishmael."}, SMALL)
    ]
    assert all(table.equals(tables[0]) for table in tables)
    other = open_at("patching", clean="The old sea", corrupt="The red sea")
    assert not other.main.dataframe[-1].value.equals(tables[0])


@pytest.mark.parametrize("model", ["attn-only-2l", "gelu-4l"])
@pytest.mark.parametrize("preset", PAIR_PRESETS, ids=lambda preset: preset.title)
def test_a_preset_pair_is_answered_differently(
    open_at: Open,  # noqa: F811
    preset,  # noqa: ANN001
    model: str,
) -> None:
    app = open_at("patching", model=model, **SMALL)
    press(app, preset.title)
    expect_well(app)
    assert said(app) == []
    assert app.text_area(key="view.corrupt").value == preset.corrupt
    shown = metrics(app)
    apart = (
        float(shown["Logit difference, clean"]) > 1 > -1 > float(shown["Logit difference, corrupt"])
    )
    larger_models = "larger models" in preset.title
    assert apart != larger_models
    # Where the corrupt prompt calls for the answer more, there are no shares at all.
    warned = ("Read the shares with care", "no share can be restored", "would be noise")
    infos = [info.value for info in app.info if any(text in info.value for text in warned)]
    assert bool(infos) == larger_models
    no_share = [text for text in infos if "Read the shares" not in text]
    assert ("is given in logits below" in captions(app)) == bool(no_share)


def test_estimates_become_exact_and_stay_in_the_link(open_at: Open) -> None:  # noqa: F811
    app = open_at("patching", **SMALL)
    app.segmented_control(key="view.patch").set_value("resid_pre").run()
    app.segmented_control(key="view.exact").set_value("top").run()
    app.number_input(key="view.top").set_value(6).run()
    expect_well(app)
    assert address(app) == {**SMALL, "patch": "resid_pre", "exact": "top", "top": "6"}
    table = app.main.dataframe[0].value
    assert len(table) in (6, 7)  # the chosen cell may be one of them
    np.testing.assert_allclose(
        table["Estimate − exact"], table["≈ estimate"] - table["Exact"], atol=1e-6
    )
    app.segmented_control(key="view.exact").set_value("all").run()
    assert "38 exact patches" in captions(app)


def test_the_path_runs_from_the_previous_token_head_to_a_key(open_at: Open) -> None:  # noqa: F811
    app = open_at("patching", **SMALL)
    before = charts(app)
    app.toggle(key="view.paths").set_value(True).run()
    expect_well(app)
    assert charts(app) == before + 1
    assert "Strongest: L0H0 to the k of L1H1, +0.5" in captions(app)
    app.segmented_control(key="view.into").set_value("v").run()
    assert "to the v of L1H1, +0.0" in captions(app)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"corrupt": "The old house"}, "exchange a word for one of as many tokens"),
        ({"answer": " Zebulon"}, "tokens for this model, not one"),
        ({"clean": "", "corrupt": " "}, "no text yet"),
        ({"clean": "the same", "corrupt": "the same"}, "Both prompts have the same tokens"),
        ({"answer": " house", "foil": " house"}, "Answer and foil are the same token"),
        ({"clean": "a b c " * 240, "corrupt": "a b c " * 240 + "x"}, "takes 512"),
    ],
    ids=["length", "answer", "empty", "equal", "foil", "long"],
)
def test_a_pair_that_cannot_be_patched_is_one_sentence_and_no_figure(
    open_at: Open,  # noqa: F811
    query: dict[str, str],
    sentence: str,
) -> None:
    app = open_at("patching", **SMALL, **query)
    expect_well(app)
    (refusal,) = said(app)
    assert sentence in refusal
    assert titles(app) == TITLES[:1]
    assert not charts(app)
    for key, text in query.items():
        widget = app.text_area if key in ("clean", "corrupt") else app.text_input
        assert widget(key=f"view.{key}").value == text


def test_too_many_patches_are_refused_and_the_estimates_stay(
    open_at: Open,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    info_parameters = 2_000_000
    monkeypatch.setattr("app.compute.calls.patching.MAX_PATCH_WORK", 5 * 18 * info_parameters)
    app = open_at("patching", exact="all", paths="1", **SMALL)
    expect_well(app)
    assert len([text for text in said(app) if "Patch only the strongest" in text]) == 2
    assert "≈ estimate" in metrics(app)


def test_hostile_prompts_are_patched_like_any_other(open_at: Open) -> None:  # noqa: F811
    hostile = " ".join((*SCRIPTS, *ODD))
    for text in (hostile, hostile.replace("a", "b")):
        app = open_at("patching", clean=text, corrupt=f"{text} x", answer="<b>", **SMALL)
        expect_well(app)
        assert app.text_area(key="view.clean").value == text
    app = open_at(
        "patching", clean=f"{hostile} x", corrupt=f"{hostile} y", answer="", foil="", **SMALL
    )
    expect_well(app)


def test_columns_and_heads_that_are_not_there_are_said(open_at: Open) -> None:  # noqa: F811
    app = open_at("patching", column="99", reader="L0H3", **SMALL)
    expect_well(app)
    assert "There is no column 99" in captions(app)
    assert "Nothing writes before L0H3" in captions(app)
    app = open_at("patching", reader="L9H9", exact="maybe", edges="-4", **SMALL)
    expect_well(app)
    assert len(said(app)) == 3
    assert address(app) == SMALL
