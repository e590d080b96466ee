"""The sections of the ablation, induction and attribution pages that the visitor plays with."""

import re

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.test_pages import (  # noqa: F401 - open_at is a fixture
    Open,
    address,
    expect_well,
    open_at,
    said,
    text_of,
)

# Small inputs: these tests are about the page.
SMALL = {"length": "12", "batch": "3"}


def losses(app: AppTest) -> tuple[float, float, float]:
    """With only the ticked heads, with all, and with none."""
    only, clean, none = (float(metric.value) for metric in app.metric)
    return only, clean, none


def ticked(app: AppTest) -> list[list[int]]:
    return [app.pills(key=f"view.keep.{layer}").value for layer in range(2)]


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()


def captions(app: AppTest) -> str:
    return "\n".join(text_of(caption.value) for caption in app.caption)


def test_the_induction_circuit_alone_nearly_keeps_the_loss(open_at: Open) -> None:  # noqa: F811
    """The default view has to show something at once."""
    app = open_at("ablation", **SMALL)
    expect_well(app)
    assert ticked(app) == [[0], [1, 2, 4, 6]]
    only, clean, none = losses(app)
    assert only - clean < 0.1 * (none - clean)
    share = re.search(r"win back ([\d.]+)%", captions(app))
    assert share
    assert float(share[1]) == pytest.approx(100 * (none - only) / (none - clean), abs=0.1)


def test_the_loss_follows_the_ticks_and_the_link_keeps_them(open_at: Open) -> None:  # noqa: F811
    app = open_at("ablation", **SMALL)
    before, clean, none = losses(app)
    app.pills(key="view.keep.0").set_value([]).run()
    assert address(app) == {**SMALL, "keep": "L1H1,L1H2,L1H4,L1H6"}
    without_previous = losses(app)[0]
    assert without_previous > before + 3
    again = open_at("ablation", **address(app))
    assert ticked(again) == [[], [1, 2, 4, 6]]
    assert losses(again) == (without_previous, clean, none)
    app.pills(key="view.keep.0").set_value([0]).run()
    assert address(app) == SMALL  # the page's own choice needs no words in the link


def test_all_none_and_circuit_are_one_press_away(open_at: Open) -> None:  # noqa: F811
    app = open_at("ablation", **SMALL)
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
    app = open_at("ablation", keep="L0H3,L1H99,L0H3,L1H2", **SMALL)
    expect_well(app)
    assert said(app) == ["⚠ attn-only-2l has no head L1H99 to keep."]
    assert ticked(app) == [[3], [2]]
    app = open_at("ablation", keep="<script>", offsets="1,-2", **SMALL)
    expect_well(app)
    assert len(said(app)) == 2
    assert address(app) == SMALL


def test_the_previous_token_head_needs_only_the_token_before(open_at: Open) -> None:  # noqa: F811
    app = open_at("ablation", **SMALL)
    assert "L0H0 needs only distance 1;" in captions(app)
    app.pills(key="view.offsets.ticks").set_value([4, 1]).run()
    expect_well(app)
    assert address(app)["offsets"] == "1,4"
    app.selectbox(key="view.layer").set_value(1).run()
    expect_well(app)
    assert address(app)["layer"] == "1"
    assert "L0H0 needs" not in captions(app)


def test_a_distance_beyond_the_input_is_refused_and_the_rest_stays(open_at: Open) -> None:  # noqa: F811
    app = open_at("ablation", offsets="99", **SMALL)
    expect_well(app)
    assert said(app) == ["⚠ Distance 99 was asked for; these tokens allow 0 to 24."]
    assert len(app.metric) == 3


def test_a_head_of_longer_matches_is_found(open_at: Open) -> None:  # noqa: F811
    app = open_at("ablation", **SMALL)
    assert re.search(r"L0H3 is worth \+\S+ nats on full repeats and -\S+ on pairs", captions(app))


def test_a_prompt_has_ticks_and_says_what_it_cannot_have(open_at: Open) -> None:  # noqa: F811
    app = open_at("ablation", input="prompt", method="mean")
    expect_well(app)
    assert len(said(app)) == 1  # mean ablation of one sequence
    assert len(app.metric) == 3
    assert sum("at least 2 sequences" in info.value for info in app.info) == 2


def test_the_strongest_induction_head_is_in_focus_and_leaves_the_first_token(
    open_at: Open,  # noqa: F811
) -> None:
    app = open_at("induction", length="30", batch="3")
    expect_well(app)
    titles = [text_of(heading.value) for heading in app.subheader]
    assert "Pattern of L1H2" in titles
    assert "How far back L1H2 looks" in titles
    assert "The off switch" in titles
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
    assert "Logit lens: the top guess after each layer" in [
        text_of(heading.value) for heading in app.subheader
    ]
    error = re.search(r"own prediction within (\S+) logits", captions(app))
    assert error
    assert float(error[1]) < 1e-3
