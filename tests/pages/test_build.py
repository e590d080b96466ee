"""The page on which a circuit is put together by hand."""

from streamlit.testing.v1 import AppTest

from tests.pages.frames import Frames, frames_of
from tests.pages.test_pages import Open, address, expect_well, open_at, text_of
from tests.snippets import agrees

__all__ = ["frames_of", "open_at"]

FEW = {"rows": "6"}


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()
    expect_well(app)


def metric(app: AppTest, name: str) -> str:
    return next(each.value for each in app.metric if each.label == name)


def titles(app: AppTest) -> list[str]:
    return [text_of(each.value) for each in app.subheader]


def test_a_circuit_is_taken_kept_emptied_and_taken_back(open_at: Open) -> None:
    """What a person does, without the graph: all of it stays in the link."""
    app = open_at("build", **FEW)
    expect_well(app)
    assert "circuit" not in address(app)
    assert titles(app) == [
        "The circuit",
        "Is it enough?",
        "Does it lack something?",
        "Is each of them needed?",
        "Circuits side by side",
    ]
    found = app.multiselect(key="build.heads").value
    assert "L0H0" in found
    assert float(metric(app, "Faithfulness, share").rstrip("%")) > 80
    # Both are put into the link by a choice, and the found one is a row beside one's own.
    app.multiselect(key="build.heads").set_value(["L0H0", "L1H4"]).run()
    expect_well(app)
    assert address(app)["circuit"] == "L0H0,L1H4"
    press(app, "Keep this circuit")
    assert address(app)["beside"] == "L0H0,L1H4"
    table = app.dataframe[0].value
    assert list(table["Circuit"])[0] == "This circuit"
    assert {"Kept 1", "All heads", "No head", "Random, mean"} <= set(table["Circuit"])
    by_name = table.set_index("Circuit")["Faithfulness"]
    assert by_name["This circuit"] == by_name["Kept 1"]
    assert by_name["No head"] < by_name["Random, mean"] < by_name["All heads"]
    press(app, "Begin with none")
    assert address(app)["circuit"] == "none"
    assert titles(app) == ["The circuit"]
    assert any("No head is in the circuit yet" in each.value for each in app.info)
    app.number_input(key="build.size").set_value(3).run()
    press(app, "Take the found circuit")
    assert 1 <= len(address(app)["circuit"].split(",")) <= 3


def test_edges_are_chosen_one_by_one(open_at: Open) -> None:
    app = open_at("build", circuit="L0H0,L1H4", **FEW)
    expect_well(app)
    with_all = metric(app, "With this circuit")
    app.segmented_control(key="build.edges").set_value("chosen").run()
    expect_well(app)
    assert address(app)["circuit"].startswith("L0H0,L1H4_L0H0-")
    # All edges between the two are drawn, and so chosen: nothing is left out yet.
    assert metric(app, "With this circuit") == with_all
    app = open_at("build", circuit="L0H0,L1H4_L1H4-logits", **FEW)
    expect_well(app)
    assert metric(app, "With this circuit") != with_all


def test_the_code_of_chosen_edges_gives_the_numbers_of_every_figure(frames_of: Frames) -> None:
    """Of a model with MLPs, which see every edge; beside a circuit with all of its edges."""
    chosen = "L0H0,L1H2,L3H4_L0H0-L1K2,L0H0-L3V4,L1H2-logits,L3H4-logits"
    frames = frames_of("build", model="gelu-4l", circuit=chosen, beside="L0H0,L1H1", **FEW)
    assert {frame.title: agrees(frame) for frame in frames} == {
        "The circuit": True,
        "Is it enough?": True,
        "Does it lack something?": True,
        "Is each of them needed?": True,
        "Circuits side by side": True,
    }


def test_heads_of_a_role_are_a_beginning(open_at: Open) -> None:
    app = open_at("build", circuit="L1H1", **FEW)
    app.selectbox(key="build.role").set_value("previous-token").run()
    expect_well(app)
    press(app, "Add these")
    assert address(app)["circuit"].startswith("L0H0,")
    assert address(app)["circuit"].endswith("L1H1")


def test_what_the_model_lacks_is_said(open_at: Open) -> None:
    app = open_at("build", circuit="L0H0,L7H1", **FEW)
    expect_well(app)
    assert app.multiselect(key="build.heads").value == ["L0H0"]
    assert any("has not all heads" in each.value for each in app.text)
