"""The page on a long text: tiles, one token's row, exact cells, and how long a text may be."""

import pytest

import analysis
from analysis.head import Head
from app.sections import long
from tests.pages.frames import Frames, frames_of
from tests.pages.test_pages import Open, address, expect_well, open_at, text_of

__all__ = ["frames_of", "open_at"]

TEXT = "The cat sat on the mat, and the dog sat on the log. " * 4


def test_a_text_is_read_as_far_as_the_model_takes_it(open_at: Open) -> None:
    app = open_at("long", upto="40")
    expect_well(app)
    said = " ".join(each.value for each in app.caption)
    assert "reads at most 512 tokens of a text. Its positions are learned vectors" in said
    assert "the first 40 tokens" in " ".join(each.value for each in app.markdown)
    # More than the model takes: read as far as it goes, in the link as it was asked for.
    app = open_at("long", upto="8000")
    expect_well(app)
    assert app.slider(key="view.upto").value == 512
    assert address(app)["upto"] == "8000"
    app.text_area(key="view.long").set_value("One. " * 20).run()
    expect_well(app)
    assert "your own text" in " ".join(each.value for each in app.markdown)


def test_a_row_and_the_cells_around_it_are_those_of_the_plain_pattern(
    frames_of: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long, "WINDOW", 12)
    frames = frames_of("long", long=TEXT, upto="50", layer="1", head="4", dest="40", src="9")
    titles = [text_of(frame.title) for frame in frames]
    assert titles == ["Every head over the text", "L1H4 from one token", "L1H4: exact cells"]
    model = analysis.load_model("attn-only-2l", device="cpu")
    tokens = analysis.long_tokens(model, TEXT, 50)
    whole = analysis.attention_patterns(model, tokens).values[0, 1, 4]
    row = frames[1].exhibits[0].table()
    at = row.columns.index("Attention")
    drawn = [each[at] for each in row.rows() if each[at] is not None][:41]
    assert drawn == pytest.approx(whole[40, :41].tolist(), abs=1e-5)
    table = frames[2].exhibits[0].table()
    at = table.columns.index("attention")
    cells = sorted(each[at] for each in table.rows())
    assert cells == pytest.approx(sorted(whole[29:41, 3:15].ravel().tolist()), abs=1e-5)
    assert frames[1].subject.head == Head(1, 4)
