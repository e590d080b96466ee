"""Finder, dossier and comparison as pages: filters, slow columns, typed cells, two models."""

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.head import Head
from analysis.models.catalog import available_models
from analysis.models.loading import load_model
from analysis.runs.inputs import repeated_tokens
from tests.pages.test_pages import (
    Open,
    address,
    charts,
    expect_well,
    head_tables,
    open_at,
    said,
    score_table,
    text_of,
)

__all__ = ["open_at"]

SECOND = available_models()[1:]
needs_second_model = pytest.mark.skipif(not SECOND, reason="only one model is here")


def test_the_finder_shows_the_heads_of_one_layer_above_a_score(open_at: Open) -> None:
    app = open_at("finder", only="1", minimum="0.5", length="20", batch="3")
    expect_well(app)
    table = app.main.dataframe[0].value
    assert len(table)
    assert set(table["Head"].str[:2]) == {"L1"}
    assert (table["Induction"] >= 0.5).all()
    assert table["Induction"].is_monotonic_decreasing
    app.selectbox(key="view.only").set_value(0).run()
    assert [info for info in app.info if "No head has Induction" in info.value]
    assert address(app)["only"] == "0"


def test_beside_every_score_stand_its_spread_and_its_chance_level(open_at: Open) -> None:
    """Worked out from the patterns of the same sequences, in slow loops."""
    app = open_at("finder", length="6", batch="3", seed="4")
    expect_well(app)
    table = app.main.dataframe[0].value.set_index("Head")
    model = load_model("attn-only-2l")
    tokens = repeated_tokens(model, length=6, batch=3, seed=4)
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    for name in ("L0H2", "L1H5"):
        head = Head.parse(name)
        pattern = cache["pattern", head.layer][:, head.head].numpy()
        before = [np.mean([rows[i, i - 1] for i in range(1, 13)]) for rows in pattern]
        assert table.loc[name, "Previous"] == pytest.approx(np.mean(before), abs=1e-5)
        assert table.loc[name, "Previous sd"] == pytest.approx(np.std(before, ddof=1), abs=1e-5)
    # Even attention gives the token before 1 of dest + 1, and the place after a copy as much.
    chance = {"Previous chance": range(1, 13), "Induction chance": range(7, 13)}
    for column, places in chance.items():
        level = np.mean([1 / (dest + 1) for dest in places])
        np.testing.assert_allclose(table[column], level, atol=1e-5)
    one = open_at("finder", input="prompt", prompt="The cat sat. The cat sat.")
    assert "Induction chance" in one.main.dataframe[0].value
    assert "Induction sd" not in one.main.dataframe[0].value  # one sequence has none


def test_copying_and_ablation_are_columns_when_they_are_asked_for(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = {Head(layer, h): (8 * layer + h) / 100 for layer in range(2) for h in range(8)}
    effects = np.arange(16.0).reshape(2, 8)
    monkeypatch.setattr(
        "app.compute.calls.ov_copying",
        lambda selection, heads: SimpleNamespace(accuracy={1: shares[heads[0]]}),
    )
    done = SimpleNamespace(values=lambda info: effects)
    monkeypatch.setattr(
        "app.compute.calls.ablation_sweep",
        lambda selection, method: SimpleNamespace(wait=lambda progress: done),
    )
    app = open_at("finder", rank="ablation", length="20", batch="3")
    assert "Copying" not in app.main.dataframe[0].value
    assert [caption for caption in app.caption if "is not measured yet" in caption.value]
    app.toggle(key="view.measured").set_value(True).run()
    expect_well(app)
    table = app.main.dataframe[0].value.set_index("Head")
    assert list(table["Ablation"]) == sorted(effects.ravel(), reverse=True)
    assert table.loc["L1H3", "Copying"] == pytest.approx(0.11)
    assert address(app)["measured"] == "1"


def test_a_cell_typed_by_number_is_the_one_explained(open_at: Open) -> None:
    app = open_at("head", layer="1", head="4")
    app.number_input(key="view.dest").set_value(20).run()
    app.number_input(key="view.src").set_value(7).run()
    expect_well(app)
    sentence = [text_of(m.value) for m in app.markdown if m.value.startswith("From ")]
    assert sentence[0].startswith("From 20 ")
    assert " to 7 " in sentence[0]
    assert {"dest": "20", "src": "7"}.items() <= address(app).items()


def test_heads_and_tokens_that_are_not_there_are_said_and_leave_the_link(open_at: Open) -> None:
    app = open_at("attention", locked="L0H99,L1H2", at="900,3")
    expect_well(app)
    assert [text for text in said(app) if "no L0H99" in text]
    assert [text for text in said(app) if "no position 900" in text]
    # What has been made of the view is in the link with the head that the page had picked.
    assert address(app) == {"layer": "1", "head": "4", "locked": "L1H2", "at": "3"}


def test_two_prompts_show_a_difference_at_first_look(open_at: Open) -> None:
    """A head that does the same on both would be an empty difference map."""
    app = open_at("compare", by="prompt", input="prompt")
    scores = score_table(app).set_index("Score")
    assert scores.loc["Induction score", "B − A"] < -0.02


@needs_second_model
def test_two_models_are_compared_each_with_a_head_of_its_own(open_at: Open) -> None:
    other = SECOND[0]
    last = Head(other.n_layers - 1, other.n_heads - 1)
    app = open_at("compare", by="model", layer2=str(last.layer), head2=str(last.head))
    expect_well(app)
    assert said(app) == []
    assert f"{last.label} of {other.title}" in text_of(app.subheader[0].value)
    assert address(app)["layer2"] == str(last.layer)
    app = open_at("compare", by="model", layer2="99")
    assert [text for text in said(app) if f"{other.title} has no layer 99" in text]


@needs_second_model
@pytest.mark.parametrize("name", ["attention", "head", "finder"])
def test_a_page_works_on_the_second_model(open_at: Open, name: str) -> None:
    app = open_at(name, model=SECOND[0].name, length="20", batch="2")
    expect_well(app)
    assert said(app) == []
    assert charts(app) or app.main.dataframe or head_tables(app)


def test_heads_are_called_alike_only_where_few_pairs_are_as_near(open_at: Open) -> None:
    """L0H0 of the bundled model is the one previous-token head: no other head is like it."""
    app = open_at("finder", length="20", batch="4", layer="0", head="0")
    expect_well(app)
    assert [info.value for info in app.info if info.value.startswith("None is alike: L")]
    app = open_at("finder", length="20", batch="4", layer="1", head="2")
    assert not [info.value for info in app.info if info.value.startswith("None is alike")]
