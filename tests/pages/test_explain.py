"""The pages Circuits and Composition: the default view shows its point, links and refusals hold."""

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.loading import load_model
from app.compute.server import current_server
from app.compute.shared_cache import SharedCache, nbytes
from app.figures import composition as composition_figures
from app.sections import composition as composition_views
from tests.pages.frames import Frames, frames_of
from tests.pages.test_pages import Open, address, charts, expect_well, open_at, said, text_of

__all__ = ["frames_of", "open_at"]  # fixtures


def metric(app, label: str) -> str:  # noqa: ANN001
    return next(m.value for m in app.metric if m.label == label)


def titles(app) -> list[str]:  # noqa: ANN001
    return [text_of(heading.value) for heading in app.subheader]


def test_the_induction_heads_together_copy_nearly_every_token(open_at: Open) -> None:
    app = open_at("circuits")
    expect_well(app)
    assert "OV circuit of L1H2, L1H4, L1H6, L1H1" in titles(app)
    assert metric(app, "Together: top guess") == "99.98%"
    assert charts(app) == 8


def test_what_both_circuits_rest_on_is_said_once(open_at: Open) -> None:
    """Without norms one sentence holds for both; with them each has its own."""
    once = [text_of(c.value) for c in open_at("circuits", token=" the").caption]
    assert not [text for text in once if text.startswith(("QK: ", "OV: "))]
    both = [text_of(c.value) for c in open_at("circuits", model="gelu-4l", token=" the").caption]
    assert len([text for text in both if text.startswith(("QK: ", "OV: "))]) == 2


def test_the_previous_token_head_and_its_reader_are_the_default(open_at: Open) -> None:
    app = open_at("circuits")
    assert "Where L0H0 looks by position alone" in titles(app)
    assert "L1H2 looks for what L0H0 wrote" in titles(app)
    best_key, best_query = (m.value for m in app.metric if m.label == "Top guess")
    # Two directions, two numbers: one label over the other's number would pass unnoticed.
    assert (best_key, best_query) == ("99.71%", "98.22%")


def test_one_head_alone_is_not_taken_with_others(open_at: Open) -> None:
    app = open_at("circuits", heads="L1H2")
    assert metric(app, "L1H2: top guess") == "75.85%"
    assert address(app) == {"heads": "L1H2"}


def test_heads_are_taken_together_as_they_are_picked(open_at: Open) -> None:
    app = open_at("circuits", heads="L1H2")
    picker = app.multiselect[0]
    picker.set_value(["L1H2", "L1H4"]).run()
    assert address(app) == {"heads": "L1H2,L1H4"}
    assert "OV circuit of L1H2, L1H4" in titles(app)
    app.multiselect[0].set_value([]).run()
    assert address(app) == {}
    assert "OV circuit of L1H2, L1H4, L1H6, L1H1" in titles(app)


def test_a_head_that_the_model_lacks_is_said_and_left_out(open_at: Open) -> None:
    app = open_at("circuits", heads="L1H2,L7H0", layer2="5")
    expect_well(app)
    notes = "\n".join(said(app))
    assert "no head L7H0 to take jointly" in notes
    assert "no layer 5" in notes
    assert address(app) == {"heads": "L1H2"}


@pytest.mark.parametrize(
    ("key", "text"),
    [("heads", "x"), ("sample", "9999"), ("draw", "-1"), ("layer2", "-5"), ("heads", "L0H0," * 9)],
)
def test_a_wrong_value_in_a_link_to_circuits_is_one_sentence(
    open_at: Open, key: str, text: str
) -> None:
    app = open_at("circuits", **{key: text})
    expect_well(app)
    assert len(said(app)) == 1
    assert address(app) == {}


def test_a_writer_in_the_readers_layer_is_refused_and_the_rest_stays(open_at: Open) -> None:
    app = open_at("circuits", layer="1", head="2", layer2="1", head2="4")
    expect_well(app)
    assert said(app) == ["⚠ L1H2 cannot read L1H4: the writer must be in an earlier layer."]
    assert "Where L1H4 looks by position alone" in titles(app)


def test_a_typed_token_is_looked_up_and_two_tokens_are_refused(open_at: Open) -> None:
    app = open_at("circuits", token=" house")
    assert [c for c in app.caption if "·house" in text_of(c.value)]
    app = open_at("circuits", token="house by the sea")
    expect_well(app)
    assert len(said(app)) == 1
    assert "not one" in said(app)[0]


def test_the_copying_score_shows_a_bar_once_it_takes_long(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.components.progress.PATIENCE", -1.0)
    monkeypatch.setattr(current_server(), "results", SharedCache(0, nbytes))
    shown = []
    monkeypatch.setattr(
        "streamlit.delta_generator.DeltaGenerator.progress",
        lambda self, share, text: shown.append((share, text)),
    )
    expect_well(open_at("circuits", heads="L1H2"))
    assert (0.0, "L1H2: every token of the vocabulary") in shown
    assert [share for share, _ in shown if share == 1.0]


def test_without_the_previous_token_head_the_stripe_is_gone(open_at: Open) -> None:
    app = open_at("composition")
    expect_well(app)
    assert float(metric(app, "Induction score of L1H2")) > 0.6
    assert float(metric(app, "Without L0H0")) < 0.1
    assert charts(app) == 8


def test_every_induction_head_rests_on_the_previous_token_head(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    change_map = composition_figures.change_map

    def keep(changes, sources, targets, palette):  # noqa: ANN001, ANN202
        drawn.append((np.array(changes), list(sources), list(targets)))
        return change_map(changes, sources, targets, palette)

    monkeypatch.setattr(composition_figures, "change_map", keep)
    app = open_at("composition", length="20", batch="2")
    app.toggle(key="view.stripes").set_value(True).run()
    expect_well(app)
    assert address(app)["stripes"] == "1"
    (changes, sources, targets) = drawn[-1]
    assert {"L1H2", "L1H4", "L1H6"} <= set(targets)
    assert changes.shape == (8, len(targets))
    assert {sources[row] for row in changes.argmin(0)} == {"L0H0"}
    assert charts(app) == 9


def test_the_pair_in_focus_stands_far_above_random_pairs(open_at: Open) -> None:
    app = open_at("composition")
    keys = next(m for m in app.metric if m.label == "K: keys")
    assert float(keys.delta.removesuffix(" sd")) > 20
    caption = next(c.value for c in app.caption if "closed form" in c.value)
    assert "1/√256 = 0.0625" in caption


def test_pairs_that_are_left_out_are_reached_by_layer_and_by_file(
    frames_of: Frames,  # noqa: F811
    open_at: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(composition_figures, "MAX_ROWS", 4)
    app = open_at("composition", model="gelu-4l", length="9", batch="2")
    expect_well(app)
    assert [caption for caption in app.caption if "Choose a layer to see" in caption.value]
    app.selectbox(key="view.writers").set_value(2).run()
    app.selectbox(key="view.readers").set_value(1).run()
    assert [text for text in said(app) if "cannot read those of layer 2" in text]
    assert (address(app)["writers"], address(app)["readers"]) == ("2", "1")
    frame, *_ = frames_of("composition", length="9", batch="2")
    table = frame.exhibits[1].table()
    rows = {(writer, reader): score for writer, reader, score, _ in table.rows()}
    assert len(rows) == table.count == 8 * 8
    bridge = load_model("attn-only-2l").bridge  # without norms, so that nothing is folded
    for writer, reader in ((0, 2), (5, 7)):
        first, second = bridge.blocks[0].attn, bridge.blocks[1].attn
        written = first.W_V[writer] @ first.W_O[writer]
        read = second.W_K[reader] @ second.W_Q[reader].T
        expected = (written @ read).norm() / (written.norm() * read.norm())
        assert rows[f"L0H{writer}", f"L1H{reader}"] == pytest.approx(float(expected), abs=1e-5)


def test_the_embedding_asks_and_the_previous_token_head_answers(open_at: Open) -> None:
    app = open_at("composition")
    said_so = "**Scores of queries from Embedding with keys from L0H0**"
    assert said_so in [m.value for m in app.markdown]
    app = open_at("composition", qpart="1", kpart="0")
    said_so = "**Scores of queries from Positions with keys from Embedding**"
    assert said_so in [m.value for m in app.markdown]
    assert address(app) == {"qpart": "1", "kpart": "0"}


def test_a_component_that_is_not_there_falls_back_to_the_strongest(open_at: Open) -> None:
    app = open_at("composition", qpart="999", kpart="998")
    expect_well(app)
    assert "**Scores of queries from Embedding with keys from L0H0**" in [
        m.value for m in app.markdown
    ]


def test_a_first_layer_head_has_nothing_before_it_and_the_rest_stays(open_at: Open) -> None:
    app = open_at("composition", layer="0", head="3")
    expect_well(app)
    assert said(app) == [
        "⚠ L0H3 is in the first layer, so nothing comes before it. Choose a later head."
    ]
    assert charts(app) == 7
    assert [c for c in app.caption if "cannot read it" in c.value]


def test_a_prompt_in_which_nothing_comes_twice_has_no_stripe_to_break(open_at: Open) -> None:
    app = open_at("composition", input="prompt", prompt="Call me Ishmael")
    expect_well(app)
    assert len(said(app)) == 1
    assert "no induction stripe" in said(app)[0]


def test_the_kind_and_the_pair_are_in_the_link(open_at: Open) -> None:
    app = open_at("composition", kind="V", layer="1", head="7", layer2="0", head2="6", pairs="3")
    expect_well(app)
    assert "Strongest V-composition, as a graph" in titles(app)
    assert "**L0H6 to L1H7**" in [m.value for m in app.markdown]
    expected = {"kind": "V", "layer": "1", "head": "7", "layer2": "0", "head2": "6", "pairs": "3"}
    assert address(app) == expected


def test_a_click_on_a_pair_chooses_both_heads() -> None:
    """The four numbers that a pair carries arrive in the order of these parameters."""
    assert composition_views.PAIR == ("layer2", "head2", "layer", "head")


@pytest.mark.parametrize("page", ["circuits", "composition"])
def test_a_model_with_norms_and_mlps_says_what_its_circuits_assume(
    open_at: Open,
    with_mlp,  # noqa: ANN001
    monkeypatch: pytest.MonkeyPatch,
    page: str,
) -> None:
    monkeypatch.setattr(current_server().models, "get", lambda info, visitor: with_mlp)
    for module in ("shell.page", "shell.sidebar", "links.selection"):
        monkeypatch.setattr(f"app.{module}.find_model", lambda name: with_mlp.info)
    app = open_at(page, length="10", batch="2", input="repeated")
    expect_well(app)
    assert said(app) == []
    assert [c for c in app.caption if "Folded weights" in c.value]
    assert charts(app) == 8


def test_a_model_with_rotary_positions_has_no_positional_pattern_and_the_page_says_why(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rotary(model, wanted: str) -> None:  # noqa: ANN001
        raise AnalysisError(f"This model has rotary positions, so {wanted} does not exist.")

    monkeypatch.setattr("analysis.circuits.ov_qk.require_position_vectors", rotary)
    monkeypatch.setattr(current_server(), "results", SharedCache(0, nbytes))
    app = open_at("circuits", heads="L1H2")
    expect_well(app)
    assert [text for text in said(app) if "a positional pattern does not exist" in text]
    assert "Why W_E W_OV W_U never has to be built" in titles(app)


def test_the_drawn_sample_is_the_one_asked_for(open_at: Open) -> None:
    app = open_at("circuits", sample="20", draw="7", heads="L1H2")
    expect_well(app)
    assert address(app) == {"heads": "L1H2", "sample": "20", "draw": "7"}
    figure = app.get("plotly_chart")[1].proto.spec
    ids = np.random.default_rng(7).choice(4096, 20, replace=False)
    assert all(f"(id {i})" in figure for i in ids)
    assert Head.parse("L1H2").label in titles(app)[1]
