"""The bench of interventions."""

import re

import pytest
from streamlit.testing.v1 import AppTest

from analysis.effects.ablation import ablate_head
from analysis.head import Head
from analysis.models.loading import load_model
from analysis.runs.inputs import tokenize
from tests.pages.test_pages import Open, open_at

__all__ = ["open_at"]

PROMPT = "The cat sat. The cat saw the dog, and the dog sat."


def metric(app: AppTest, label: str) -> float:
    """The number of a metric, as it is shown."""
    (found,) = (each.value for each in app.metric if each.label == label)
    return float(found)


def clicked(app: AppTest, key: str) -> AppTest:
    """The page after a button."""
    return app.button(key=key).click().run()


def test_the_page_opens_with_the_previous_token_head_switched_off(open_at: Open) -> None:
    app = open_at("intervene", input="repeated", length="20", batch="2")
    assert not app.exception
    assert [each.label for each in app.toggle] == ["1. output of L0H0 times 0"]
    assert "recipe" not in app.query_params


def test_a_dial_at_zero_shows_the_loss_of_zero_ablation(open_at: Open) -> None:
    app = open_at("intervene", prompt=PROMPT, recipe="L0H0x0")
    model = load_model("attn-only-2l")
    expected = ablate_head(model, tokenize(model, PROMPT), Head(0, 0))
    shown = metric(app, "Loss with the recipe")
    assert shown == pytest.approx(expected.clean_loss + expected.value, abs=6e-4)


def test_steps_are_switched_off_moved_and_removed(open_at: Open) -> None:
    app = open_at("intervene", prompt=PROMPT, recipe="L0H0x0_L1H2q5k1")
    app.toggle[0].set_value(False).run()
    assert app.query_params["recipe"] == "off-L0H0x0_L1H2q5k1"
    clicked(app, "up 1 L1H2q5k1")
    assert app.query_params["recipe"] == "L1H2q5k1_off-L0H0x0"
    clicked(app, "remove 0 L1H2q5k1")
    app.slider(key="dial 0 L0H0").set_value(1.5).run()
    assert app.query_params["recipe"] == "off-L0H0x1.5"
    clicked(app, "remove 0 off-L0H0x1.5")
    assert app.query_params["recipe"] == "none"
    assert not app.exception


def test_a_step_is_added_from_its_fields_and_from_the_pattern(open_at: Open) -> None:
    app = open_at("intervene", prompt=PROMPT, recipe="none", layer="1", head="2", dest="5", src="3")
    clicked(app, "look here")
    assert app.query_params["recipe"] == "L1H2q5k3"
    app.selectbox(key="step kind").set_value("Move the stream towards the second prompt").run()
    app.selectbox(key="step layer").set_value(1).run()
    clicked(app, "add step")
    assert app.query_params["recipe"] == "L1H2q5k3_R1x1"
    assert any(area.label == "Second prompt" for area in app.text_area)
    assert not app.exception


def test_what_has_no_place_is_said_and_stays_in_the_recipe(open_at: Open) -> None:
    app = open_at("intervene", prompt=PROMPT, recipe="L7H0x0_L0H0x0")
    assert not app.exception
    assert any("L7H0 was asked for" in text.value for text in app.text)
    clicked(app, "remove 0 L7H0x0")
    assert metric(app, "Loss with the recipe") > 0


def test_steps_that_set_the_same_numbers_are_said_to(open_at: Open) -> None:
    app = open_at("intervene", prompt=PROMPT, recipe="L0H0x0.5_L0H0-mean_L1H1x0")
    said = [each.value for each in app.caption if "order counts" in each.value]
    assert len(said) == 1
    assert "L0H0" in said[0]


def test_the_model_writes_on_with_and_without_the_recipe(open_at: Open) -> None:
    app = open_at("intervene", prompt=PROMPT, recipe="L0H0x0_L1H4x2")
    assert any(each.value == "Nothing is written yet." for each in app.caption)
    clicked(app, "write more")
    assert app.query_params["write"] == "20"
    assert not app.exception
    shown = [each.value for each in app.caption]
    assert any("They part at new token" in text for text in shown)


def test_a_flip_set_becomes_the_recipe_and_does_what_was_said(open_at: Open) -> None:
    """The recipe's own run confirms it, by another function and with the same logits."""
    app = open_at("intervene", recipe="none", answer=" She", foil=" But")
    assert "flip" not in app.query_params
    (button,) = (each for each in app.button if each.label == "Remove heads until the foil wins")
    button.click().run()
    assert app.query_params["flip"] == "1"
    (said,) = (each.value for each in app.markdown if "the model prefers" in each.value)
    heads = re.findall(r"L\d+H\d+", said)
    left, before = map(float, re.findall(r"([+-]\d+\.\d+)", said))
    assert left < 0 < before
    (button,) = (each for each in app.button if each.label == "Make these the recipe")
    button.click().run()
    assert app.query_params["recipe"] == "_".join(f"{head}x0" for head in heads)
    assert metric(app, "With the recipe") == pytest.approx(left, abs=0.011)
    assert metric(app, "Logit difference, clean") == pytest.approx(before, abs=0.011)
    # Without one of its steps the answer wins again.
    app.toggle[0].set_value(False).run()
    assert metric(app, "With the recipe") > 0
    assert not app.exception


def test_a_foil_that_wins_as_it_is_is_said_and_the_rest_of_the_page_stays(open_at: Open) -> None:
    app = open_at("intervene", recipe="none", answer=" But", foil=" She", flip="1")
    assert any("Swap the two" in text.value for text in app.text)
    assert metric(app, "With the recipe") < 0
    assert not app.exception
