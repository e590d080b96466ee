"""Every figure of every page can be taken along, and comes with the code that reproduces it."""

from collections.abc import Sequence

import pytest

from analysis.definitions import Quantity
from app.frame import frame
from app.frame.export import Exhibit
from tests.pages.test_pages import PAGE_NAMES, Open, expect_well, open_at, text_of

__all__ = ["open_at"]

# Frames in which nothing is drawn on the defaults: numbers alone, or work that is asked for first.
WITHOUT_FIGURE = {
    "ablation": {
        "Where the estimate is wrong",
        "Heads ablated together",
        "Pairs of the 8 strongest heads",
        "Only these heads",
        "Which distances a head needs",
        "Heads that look for longer matches",
    },
    "patching": {"A clean and a corrupt prompt", "Which earlier head does it come through?"},
    "circuits": {"L1H2 looks for what L0H0 wrote"},
}
# Pages whose headings are no figures' titles, beside those of figures.
PLAIN_PAGES = ("start", "learn", "glossary")
VIEWS = [(name, {}) for name in PAGE_NAMES] + [
    ("attention", {"view": "circuitsvis"}),
    ("neurons", {"model": "gelu-4l"}),
    ("activations", {"list": "parameters"}),
]


@pytest.mark.parametrize(("name", "query"), VIEWS)
def test_every_figure_is_offered_in_every_form_with_its_code(
    open_at: Open,  # noqa: F811
    name: str,
    query: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offered: dict[str, list[Exhibit]] = {}
    framed: list[str] = []
    draw_exports, snippet = frame.draw_exports, frame.snippet

    def note_exports(
        title: str, reading: str, about: Sequence[Quantity], exhibits: Sequence[Exhibit]
    ) -> None:
        offered[title] = list(exhibits)
        draw_exports(title, reading, about, exhibits)

    def note_code(*arguments: object) -> str | None:
        code = snippet(*arguments)  # type: ignore[arg-type]
        framed.append("code" if code else "none")
        return code

    monkeypatch.setattr(frame, "draw_exports", note_exports)
    monkeypatch.setattr(frame, "snippet", note_code)
    app = open_at(name, **query)
    expect_well(app)
    assert "none" not in framed
    titles = {text_of(heading.value) for heading in app.subheader}
    if name not in PLAIN_PAGES:
        assert len(framed) == len(titles)
        expected = WITHOUT_FIGURE.get(name, set())
        # Exact effects may be there already, from another test.
        assert titles - offered.keys() <= expected
    drawn = [exhibit for exhibits in offered.values() for exhibit in exhibits]
    # Each chart draws its own PNG and SVG.
    assert len([each for each in drawn if each.chart]) == len(app.get("plotly_chart"))
    for exhibit in drawn:
        assert exhibit.table().columns
        assert exhibit.page
        assert exhibit.page("file")
        assert exhibit.paper is None or exhibit.paper().startswith(b"<?xml")
    # Share has one more, for the view itself.
    assert len(app.get("download_button")) >= sum(3 + bool(each.paper) for each in drawn)
