"""The lesson and the glossary, run by Streamlit's test harness."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.sections.lesson.induction.steps import SETTINGS, steps_of
from tests.pages.test_pages import Open, address, charts, expect_well, open_at, said

__all__ = ["open_at"]

STEPS = steps_of(SETTINGS[0])
RIGHT = ("second", "L1H2", "high", "layer0", "L0H0", "fades", "high", "circuit")
WRONG = ("first", "L1H0", "low", "mine", "L0H1", "stays", "low", "memory")
LOOKS = ("most", "L3H1", "alike", "L3H5", "cause", "answer", "same", "tested")
UNLIKE = ("half", "L3H0", "cause", "L3H1", "alike", "subject", "other", "looks")


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_a_step_knows_a_right_answer_from_a_wrong_one(open_at: Open, number: int) -> None:
    """On the real numbers of the bundled model."""
    before = [*RIGHT[:number]]
    app = open_at("learn", lesson=str(number + 1), answers=",".join([*before, RIGHT[number]]))
    expect_well(app)
    assert said(app) == []
    assert len(app.success) == 1
    assert charts(app) >= 1
    app = open_at("learn", lesson=str(number + 1), answers=",".join([*before, WRONG[number]]))
    expect_well(app)
    assert not app.success
    assert len(app.info) == 1


def test_answers_and_place_are_kept_in_the_link(open_at: Open) -> None:
    app = open_at("learn")
    app.radio(key="lesson answer 1").set_value("second").run()
    assert address(app) == {"answers": "second"}
    button(app, "Next step").click().run()
    assert address(app) == {"answers": "second", "lesson": "2"}
    expect_well(app)


def button(app: AppTest, label: str) -> Any:
    """The button with this label."""
    return next(each for each in app.button if each.label == label)


def test_the_next_step_waits_for_a_right_answer_or_for_being_shown(open_at: Open) -> None:
    app = open_at("learn", lesson="4", answers="second,L1H2,high")
    assert button(app, "Next step").disabled
    app.radio(key="lesson answer 4").set_value("mine").run()
    assert button(app, "Next step").disabled
    # The map is not there yet, so that the next answer is a prediction too.
    assert "Loss without each head" not in [each.value for each in app.subheader]
    button(app, "Show me").click().run()
    expect_well(app)
    assert address(app)["answers"] == "second,L1H2,high,shown"
    assert not button(app, "Next step").disabled
    assert "Loss without each head" in [each.value for each in app.subheader]
    assert not app.success
    assert "A head of layer 0" in app.info[0].value


def test_the_end_tells_what_was_found_and_what_is_open(open_at: Open) -> None:
    shown = ",".join([*RIGHT[:3], "shown", *RIGHT[4:]])
    app = open_at("learn", lesson="8", answers=shown)
    expect_well(app)
    text = " ".join(each.value for each in app.markdown)
    assert all(f"{number}. **{step.title}**" in text for number, step in enumerate(STEPS, 1))
    assert any("7 of 8 by yourself, 1 shown." in each.value for each in app.caption)
    app = open_at("learn", lesson="8", answers=",".join([*RIGHT[:3], "", *RIGHT[4:]]))
    expect_well(app)
    assert button(app, "4. Predict, then see")


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_the_same_lesson_leads_through_another_model(open_at: Open, number: int) -> None:
    answers = ("second", "L3H1", "high", "layer0", "L1H5", "weaker", "middle", "circuit")
    app = open_at(
        "learn", model="gelu-4l", lesson=str(number + 1), answers=",".join(answers[: number + 1])
    )
    expect_well(app)
    assert said(app) == []
    assert len(app.success) == 1, [each.value for each in app.info]
    assert charts(app) >= 1


@pytest.mark.parametrize(
    "link",
    [
        {"lesson": "9"},
        {"lesson": "-1", "answers": "<script>alert(1)</script>"},
        {"answers": "," * 9},
        {"answers": "second;L1H2"},
    ],
)
def test_a_hostile_place_or_answer_begins_the_lesson(open_at: Open, link: dict[str, str]) -> None:
    app = open_at("learn", **link)
    expect_well(app)
    assert len(said(app)) == len(link)
    assert address(app) == {}
    assert app.subheader[0].value == STEPS[0].title


def test_the_glossary_finds_a_word(open_at: Open) -> None:
    app = open_at("glossary", term="logit difference")
    expect_well(app)
    shown = " ".join(item.value for item in app.markdown)
    assert "foil" in shown
    assert "Next&#45;token loss" not in shown
    app.text_input(key="view.term").set_value("<b>nothing</b>").run()
    expect_well(app)
    assert [info for info in app.info if "No entry" in info.value]


@pytest.mark.parametrize("number", range(len(LOOKS)))
def test_looks_and_verdicts_are_told_apart_on_the_model_that_is_here(
    open_at: Open, number: int
) -> None:
    """gelu-4l: its best-looking induction head is a correlate, another one a cause."""
    link = {"guide": "looks", "lesson": str(number + 1)}
    app = open_at("learn", **link, answers=",".join(LOOKS[: number + 1]))
    expect_well(app)
    assert len(app.success) == 1
    if number in (2, 4):
        assert ("correlate", "cause")[number // 4] in app.success[0].value
    app = open_at("learn", **link, answers=",".join([*LOOKS[:number], UNLIKE[number]]))
    expect_well(app)
    assert not app.success
    assert len(app.info) == 1


def test_another_lesson_begins_at_its_first_step(open_at: Open) -> None:
    app = open_at("learn", lesson="3", answers="second,L1H2,high")
    app.segmented_control(key="view.guide").set_value("looks").run()
    expect_well(app)
    assert address(app) == {"guide": "looks"}
    assert app.subheader[0].value == "A task that can be marked"
