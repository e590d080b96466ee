"""Every figure of every page can be taken along, and comes with the code that reproduces it."""

import pytest

from app.frame import frame
from app.frame.export import Frame
from app.frame.snippets import snippet
from tests.pages.test_pages import PAGE_NAMES, Open, expect_well, open_at, text_of

__all__ = ["open_at"]

# Frames in which nothing is drawn on the defaults: numbers alone, or work that is asked for first.
WITHOUT_FIGURE = {
    "intervene": {"What it writes", "Which heads does the answer rest on?"},
    "roles": {"Does it matter? L1H0, L0H1"},
    "ablation": {
        "Where the estimate is wrong",
        "Heads ablated together",
        "Pairs of the 8 strongest heads",
        "Only these heads",
        "Which distances a head needs",
        "Heads that look for longer matches",
        "Find the circuit",
    },
    "patching": {"A clean and a corrupt prompt", "Which earlier head does it come through?"},
    "circuits": {"L1H2 looks for what L0H0 wrote"},
}
# Pages whose headings are no figures' titles, beside those of figures.
PLAIN_PAGES = ("start", "learn", "glossary", "join", "findings")
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
    frames: list[Frame] = []
    draw_tools = frame._draw_tools

    def note(drawn: Frame, place: object) -> None:
        frames.append(drawn)
        draw_tools(drawn, place)

    monkeypatch.setattr(frame, "_draw_tools", note)
    app = open_at(name, **query)
    expect_well(app)
    coded = [each for each in frames if any(quantity.code for quantity in each.quantities)]
    assert all(snippet(each.quantities, each.subject) for each in coded)
    titles = {text_of(heading.value) for heading in app.subheader}
    if name not in PLAIN_PAGES:
        assert len(frames) == len(titles)
        # Exact effects may be there already, from another test.
        assert {f.title for f in frames if not f.exhibits} <= WITHOUT_FIGURE.get(name, set())
    drawn = [exhibit for each in frames for exhibit in each.exhibits]
    # Each chart draws its own PNG and SVG.
    assert len([each for each in drawn if each.chart]) == len(app.get("plotly_chart"))
    for exhibit in drawn:
        assert exhibit.table().columns
        assert exhibit.page
        assert exhibit.page("file")
        for picture in (exhibit.paper, exhibit.picture):
            assert picture is None or picture("origin").startswith(b"<?xml")
    # Nothing is filled before it is opened.
    files = [button.label for button in app.get("download_button")]
    assert "CSV" not in files
    for each in frames:
        for tool in ("Definition", "Code", "Export"):
            if tool != "Export" or each.exhibits:
                app.session_state[f"{tool} of {each.title}"] = True
    app.run()
    expect_well(app)
    files = [button.label for button in app.get("download_button")]
    assert files.count("CSV") == len(drawn)
    assert files.count("Paper SVG") == len([each for each in drawn if each.paper])
    assert len(app.code) >= len([each for each in frames if each.quantities])
