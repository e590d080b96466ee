"""The lesson and the glossary, run by Streamlit's test harness."""

import pytest

from app.sections.lesson.induction.steps import STEPS
from tests.pages.test_pages import Open, address, charts, expect_well, open_at, said

__all__ = ["open_at"]

RIGHT = ("second", "L1H2", "high", "layer0", "L0H0", "fades", "high", "circuit")
LOOKS = ("most", "L3H1", "alike", "L3H5", "cause", "answer", "same", "tested")
UNLIKE = ("half", "L3H0", "cause", "L3H1", "alike", "subject", "other", "looks")
WRONG = ("first", "L1H0", "low", "mine", "L0H1", "stays", "low", "memory")


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


def test_answers_and_place_are_kept_in_the_link(open_at: Open) -> None:
    app = open_at("learn")
    app.radio(key="lesson answer 1").set_value("second").run()
    assert address(app) == {"answers": "second"}
    next(button for button in app.button if button.label == "Next step").click().run()
    assert address(app) == {"answers": "second", "lesson": "2"}
    expect_well(app)


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
