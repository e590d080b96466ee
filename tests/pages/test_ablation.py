"""The sections of the ablation, induction and attribution pages that the visitor plays with."""

import re
import threading
import time

import pytest
from streamlit.testing.v1 import AppTest

import analysis
from analysis import limits
from analysis.limits import sweep_seconds
from analysis.models.catalog import find_model
from tests.pages.test_pages import (  # noqa: F401 - open_at is a fixture
    APOLOGY,
    Open,
    address,
    expect_well,
    open_at,
    said,
    text_of,
)

# Small inputs: these tests are about the page.
SMALL = {"length": "12", "batch": "3"}


def numbers(app: AppTest) -> dict[str, float]:
    """What the cards on the page say, by their labels."""
    counts = ("Edges kept", "Faithfulness")
    return {m.label: float(m.value) for m in app.metric if m.label not in counts}


def losses(app: AppTest) -> tuple[float, float, float]:
    """With only the ticked heads, with all, and with none."""
    only, clean, none = (
        next(value for label, value in numbers(app).items() if label.startswith(start))
        for start in ("Loss with only", "With all heads", "With none")
    )
    return only, clean, none


def titles(app: AppTest) -> list[str]:
    return [text_of(heading.value) for heading in app.subheader]


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def opened(open_page: Open, **query: str) -> AppTest:
    """The ablation page once its sweep is over; the harness has no timer that runs it again."""
    return over(open_page("ablation", **query))


def over(app: AppTest) -> AppTest:
    for _ in range(60):
        if "Cancel" not in labels(app):
            return app
        time.sleep(0.5)
        app.run()
    raise AssertionError("the sweep does not end")


def held_back(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No sweep goes on until this is set."""
    free = threading.Event()
    whole = analysis.ablate_each

    def held(*arguments: object, **options: object) -> object:
        assert free.wait(60)
        return whole(*arguments, **options)

    monkeypatch.setattr(analysis, "ablate_each", held, raising=False)
    return free


def ticked(app: AppTest) -> list[list[int]]:
    return [app.pills(key=f"view.keep.{layer}").value for layer in range(2)]


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()


def captions(app: AppTest) -> str:
    return "\n".join(text_of(caption.value) for caption in app.caption)


def test_the_induction_circuit_alone_nearly_keeps_the_loss(open_at: Open) -> None:  # noqa: F811
    """The default view has to show something at once."""
    app = opened(open_at, **SMALL)
    expect_well(app)
    assert ticked(app) == [[0], [1, 2, 4, 6]]
    only, clean, none = losses(app)
    assert only - clean < 0.1 * (none - clean)
    share = re.search(r"win back ([\d.]+)%", captions(app))
    assert share
    assert float(share[1]) == pytest.approx(100 * (none - only) / (none - clean), abs=0.1)


def test_the_loss_follows_the_ticks_and_the_link_keeps_them(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, **SMALL)
    before, clean, none = losses(app)
    app.pills(key="view.keep.0").set_value([]).run()
    assert address(app) == {**SMALL, "keep": "L1H1,L1H2,L1H4,L1H6"}
    without_previous = losses(app)[0]
    assert without_previous > before + 3
    again = opened(open_at, **address(app))
    assert ticked(again) == [[], [1, 2, 4, 6]]
    assert losses(again) == (without_previous, clean, none)
    app.pills(key="view.keep.0").set_value([0]).run()
    assert address(app) == SMALL  # the page's own choice needs no words in the link


def test_all_none_and_circuit_are_one_press_away(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, **SMALL)
    press(app, "None")
    assert address(app)["keep"] == "none"
    only, clean, none = losses(app)
    assert only == none
    press(app, "All")
    assert address(app)["keep"].count(",") == 15
    assert losses(app)[0] == clean
    press(app, "Induction circuit")
    assert address(app) == SMALL


def test_kept_heads_from_a_link_are_checked(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, keep="L0H3,L1H99,L0H3,L1H2", **SMALL)
    expect_well(app)
    assert said(app) == ["⚠ Attention-only, 2 layers has no head L1H99 to keep."]
    assert ticked(app) == [[3], [2]]
    app = opened(open_at, keep="<script>", offsets="1,-2", **SMALL)
    expect_well(app)
    assert len(said(app)) == 2
    assert address(app) == SMALL


def test_the_previous_token_head_needs_only_the_token_before(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, **SMALL)
    assert "L0H0 needs only distance 1;" in captions(app)
    app.pills(key="view.offsets.ticks").set_value([4, 1]).run()
    expect_well(app)
    assert address(app)["offsets"] == "1,4"
    app.selectbox(key="view.layer").set_value(1).run()
    expect_well(app)
    assert address(app)["layer"] == "1"
    assert "L0H0 needs" not in captions(app)


def test_a_distance_beyond_the_input_is_refused_and_the_rest_stays(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, offsets="99", **SMALL)
    expect_well(app)
    assert said(app) == ["⚠ Distance 99 was asked for; these tokens allow 0 to 24."]
    assert losses(app)


def test_a_head_of_longer_matches_is_found(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, **SMALL)
    assert re.search(r"L0H3 is worth \+\S+ nats on full repeats and -\S+ on pairs", captions(app))


def test_a_prompt_has_ticks_and_says_what_it_is_set_against(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, input="prompt", method="mean")
    expect_well(app)
    assert said(app) == []
    assert losses(app)
    assert "the mean over 10 stretches of a reference text (The Secret Garden" in captions(app)
    # Pairs of repeated tokens are the one thing that a prompt has none of.
    assert sum("at least 2 sequences" in info.value for info in app.info) == 1


def test_exact_values_take_the_place_of_estimates(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, **SMALL)
    expect_well(app)
    heads = app.main.dataframe[0].value
    assert heads["Head"][0] == "L0H0"
    assert len(heads) == 16
    assert list(heads["Exact"]) == sorted(heads["Exact"], reverse=True)
    # One backward pass cannot see what saturation hides.
    assert heads["Exact"][0] > heads["Estimate"][0] + 2
    assert "Farthest off is L0H0" in captions(app)


def test_a_cancelled_sweep_keeps_what_it_has_and_goes_on_when_asked(
    open_at: Open,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is exact before anyone has let it: the backend's worker is held."""
    free = held_back(monkeypatch)
    # A prompt: on repeated tokens another section would wait for a sweep of its own.
    app = open_at("ablation", input="prompt", prompt="The cat sat. The cat")
    assert app.main.dataframe[0].value["Exact"].isna().all()
    assert "This follows when the sweep above is done or cancelled." in captions(app)
    press(app, "Cancel")
    app.run()
    assert "Cancel" not in labels(app)
    assert [text for text in app.markdown if "Cancelled: 0 of 16" in text.value]
    assert "Continue" in labels(app)
    free.set()
    press(app, "Continue")
    over(app.run())
    expect_well(app)
    assert not app.main.dataframe[0].value["Exact"].isna().any()


def test_a_sweep_that_fails_is_an_apology_and_the_next_try_works(
    open_at: Open,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object, **options: object) -> object:
        raise RuntimeError("secret detail")

    with monkeypatch.context() as broken:
        broken.setattr(analysis, "ablate_each", fail, raising=False)
        app = over(open_at("ablation", length="13", batch="2"))
        assert [error for error in app.error if APOLOGY in error.value]
        assert "secret detail" not in str(app)
    over(app.run())
    expect_well(app)
    assert len(app.main.dataframe[0].value) == 16


def test_the_head_in_focus_is_the_most_needed_until_somebody_chooses(
    open_at: Open,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The head of gelu-4l that is worth most is estimated far behind others."""
    free = held_back(monkeypatch)
    app = open_at("ablation", model="gelu-4l", length="25", batch="3")
    heads = app.main.dataframe[0].value
    by_estimate = heads["Head"][heads["Estimate"].idxmax()]
    assert f"Which tokens need {by_estimate}" in titles(app)
    free.set()
    over(app.run())
    heads = app.main.dataframe[0].value
    by_effect = heads["Head"][heads["Exact"].idxmax()]
    assert by_effect != by_estimate
    assert f"Which tokens need {by_effect}" in titles(app)
    assert not {"layer", "head"} & address(app).keys()
    chosen = opened(open_at, layer="1", head="5", **SMALL)
    assert "Which tokens need L1H5" in titles(chosen)


def test_the_map_says_how_good_the_estimates_were(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, **SMALL)
    heads = app.main.dataframe[0].value
    ranks = heads[["Exact", "Estimate"]].corr(method="spearman").iloc[0, 1]
    off = (heads["Exact"] - heads["Estimate"]).abs().median()
    assert (
        f"The estimates of all 16 heads rank like their exact values with a correlation of "
        f"{ranks:.2f} (by chance 0 ± 0.26); half of them are off by {off:.3f} nats or less."
    ) in captions(app)


def test_the_strongest_heads_are_kept_with_one_press_by_what_is_exact_by_then(
    open_at: Open,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = held_back(monkeypatch)
    app = open_at("ablation", model="gelu-4l", length="24", batch="3")
    app.number_input(key="kept.strongest").set_value(3).run()
    estimates = app.main.dataframe[0].value
    free.set()
    while any(thread.name == "sweep" for thread in threading.enumerate()):
        time.sleep(0.05)
    press(app, "Keep the 3 strongest")
    expect_well(over(app))
    heads = app.main.dataframe[0].value
    three = sorted(heads["Head"][:3])
    assert three != sorted(estimates.sort_values("Estimate", ascending=False)["Head"][:3])
    assert address(app)["keep"] == ",".join(three)
    assert any(label.startswith("Loss with only 3 of 24") for label in numbers(app))


def test_a_large_model_begins_with_few_tokens_and_takes_more_when_asked(
    open_at: Open,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = find_model("attn-only-2l")
    one_token = sweep_seconds(model.n_layers * model.n_heads, model.operations, 1)
    monkeypatch.setattr(limits, "_SWEEP_SECONDS", 60 * one_token)
    app = opened(open_at)
    expect_well(app)
    # 60 tokens: two sequences of BOS and 14 tokens twice.
    assert "begins with 2 sequences of 29 tokens: all 16 heads take about 1 min" in captions(app)
    assert address(app) == {}
    press(app, "Take 10 sequences of 101 tokens (about 1 min)")
    expect_well(over(app))
    assert address(app) == {"length": "50", "batch": "10"}
    assert "The model is large" not in captions(app)
    prompt = open_at("ablation", input="prompt", prompt="The cat sat. The cat")
    assert "The model is large" not in captions(prompt)


def test_resampling_has_a_seed_and_takes_a_reference_text_for_one_prompt(open_at: Open) -> None:  # noqa: F811
    app = opened(open_at, method="resample", length="12", batch="6")
    expect_well(app)
    first = list(app.main.dataframe[0].value["Exact"])
    app.number_input(key="view.swap").set_value(5).run()
    assert address(app)["swap"] == "5"
    assert list(over(app).dataframe[0].value["Exact"]) != first
    app = opened(open_at, method="resample", input="prompt")
    expect_well(app)
    assert said(app) == []
    assert "one of 10 stretches of a reference text" in captions(app)


def test_induction_heads_cover_for_each_other(open_at: Open) -> None:  # noqa: F811
    """The default view has to show something at once."""
    app = opened(open_at, **SMALL)
    cards = numbers(app)
    assert cards["All at once"] > cards["Sum of each alone"] + 1
    assert cards["Excess"] == pytest.approx(
        cards["All at once"] - cards["Sum of each alone"], abs=0.002
    )
    assert "they cover for each other" in captions(app)
    assert re.search(r"L1H\d and L1H\d cost \S+ nats more together", captions(app))
    app.multiselect(key="joint together").set_value(["L0H0", "L1H2"]).run()
    assert address(app)["together"] == "L0H0,L1H2"
    assert "they are parts of one mechanism" in captions(app)
    again = opened(open_at, **address(app))
    assert numbers(again)["All at once"] == numbers(app)["All at once"]


def test_the_strongest_induction_head_is_in_focus_and_leaves_the_first_token(
    open_at: Open,  # noqa: F811
) -> None:
    app = open_at("induction", length="30", batch="3")
    expect_well(app)
    assert {"Pattern of L1H2", "How far back L1H2 looks", "The off switch"} <= {*titles(app)}
    assert "S-1 = 29 back" in captions(app)
    assert re.search(r"the largest is 0\.\d+, 29 back", captions(app))


def test_ids_become_text_and_others_are_refused(open_at: Open) -> None:  # noqa: F811
    app = open_at("tokens", prompt="The cat")
    (ids,) = (code.value for code in app.code if code.value.startswith("["))
    app.text_input(key="view.ids").set_value(ids).run()
    expect_well(app)
    assert said(app) == ["<|endoftext|> | The | ·cat"]
    assert address(app)["ids"] == ids
    for text, sentence in (("1, x", "whole numbers"), ("5000", "0 to 4095"), ("[]", "numbers")):
        app.text_input(key="view.ids").set_value(text).run()
        expect_well(app)
        assert sentence in said(app)[0]


def test_the_logit_lens_ends_in_the_models_own_prediction(open_at: Open) -> None:  # noqa: F811
    app = open_at("attribution", prompt="The cat sat on the mat. The cat sat")
    expect_well(app)
    assert "Logit lens: the top guess after each layer" in titles(app)
    error = re.search(r"own prediction (exactly|within (\S+) logits)", captions(app))
    assert error
    assert float(error[2] or 0) < 1e-3


def test_the_circuit_of_the_input_is_found(open_at: Open) -> None:  # noqa: F811
    """It stood on the page about two prompts."""
    app = open_at("ablation")
    expect_well(app)
    edges = app.main.dataframe[-1].value
    assert set(edges["Edge"][:4]) == {f"L0H0 → L1H{head}.K" for head in (1, 2, 4, 6)}
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Edges kept"] == "8 of 208"
    assert shown["Heads that write them"] == "5"
