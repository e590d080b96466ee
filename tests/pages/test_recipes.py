"""The recipes of CONTRIBUTING.md for a page, a figure and a parameter, each followed on a copy."""

import sys
from pathlib import Path

import pytest

from tests.recipes import commands, copy_repository, run, run_tests, script, steps

PAGE, FIGURE, PARAMETER = "Add a page", "Add a figure", "Add a parameter to links"
IN_ORDER = (PAGE, FIGURE, PARAMETER)  # each goes on with the example of the one before
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module", params=IN_ORDER)
def followed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):  # noqa: ANN201
    """A recipe, and a copy of the repository in which it has been followed."""
    folder = tmp_path_factory.mktemp("copy")
    copy_repository(folder)
    for recipe in IN_ORDER[: IN_ORDER.index(request.param) + 1]:
        for step in steps(recipe):
            step.follow(folder)
    return request.param, folder


def test_a_recipe_says_in_full_what_to_change() -> None:
    assert [[step.file for step in steps(recipe)] for recipe in IN_ORDER] == [
        ["app/sections/resting.py", "pages/resting.py", "app/links/pages.py"],
        ["app/figures/heads.py", "app/sections/resting.py", "pages/resting.py"],
        ["app/links/parameters.py", "tests/unit/test_selection.py", "app/sections/resting.py"],
    ]


def test_what_a_recipe_makes_is_clean_and_stands_on_its_storey(followed) -> None:  # noqa: ANN001
    _, folder = followed
    run(folder, str(BIN / "ruff"), "check", "--no-cache", "app", "pages")
    run(folder, str(BIN / "ruff"), "format", "--check", "--no-cache", "app", "pages")
    run(folder, str(BIN / "lint-imports"), "--no-cache")


def test_the_tests_that_a_recipe_names_pass(followed) -> None:  # noqa: ANN001
    recipe, folder = followed
    assert all(" pytest " in line for line in commands(recipe))
    run_tests(recipe, folder)


def test_what_a_recipe_promises_is_on_the_page(followed) -> None:  # noqa: ANN001
    recipe, folder = followed
    script(folder, BEGIN + SHOWN[recipe])


BEGIN = """
import numpy as np
import streamlit as st

import analysis
from tests.noted import FRAMES, codes, open_page, results, run, words

menus = {}
navigation = st.navigation


def note_menus(sections, **options):
    menus.update(sections)
    return navigation(sections, **options)


st.navigation = note_menus
REPEATED = {"input": "repeated", "length": "12", "batch": "2"}
model = analysis.load_model("attn-only-2l")
expected = analysis.head_scores(model, analysis.repeated_tokens(model, 12, 2)).first


def code_gives(title, numbers):
    codes_of_frame = [codes()[quantity.name] for quantity in FRAMES[title].quantities]
    (given,) = results(codes_of_frame[-1])
    assert np.allclose(given, numbers, atol=1e-5)


def tools(app):
    return [block.proto.popover.label for block in app.get("popover")]


"""
SHOWN = {
    PAGE: """
app = open_page("resting", **REPEATED)
assert app.title[0].value == "Resting"
assert "have nothing to do?" in words(app)
assert menus["Find"][-1].title == "Resting" and menus["Find"][-1].url_path == "resting"
code_gives("Attention at rest", expected)
""",
    FIGURE: """
app = open_page("resting", **REPEATED)
assert len(app.get("plotly_chart")) == 2
for tool in ("Definition", "Code", "Export"):
    assert tools(app).count(tool) == 2, tools(app)
code_gives("Heads at rest", expected.reshape(-1))
(exhibit,) = FRAMES["Heads at rest"].exhibits
rows = list(exhibit.table().rows())
assert len(rows) == expected.size
assert all(any(cell == round(v, 6) or cell == v for cell in row for v in expected.ravel().tolist())
           for row in rows), rows
""",
    PARAMETER: """
from app.links.link import link_parameters, parse_link

link = link_parameters("resting", {"least": 0.25})
assert link == {"least": "0.25"}
assert parse_link("resting", {key: [text] for key, text in link.items()}) == ({"least": 0.25}, [])
assert link_parameters("resting", {"least": 0.0}) == {}
assert "least" not in link_parameters("finder", {"least": 0.25})

app = open_page("resting", least="0.25", **REPEATED)
slider = app.slider(key="view.least")
assert slider.value == 0.25
few = expected[expected >= 0.25]
assert 0 < few.size < expected.size
code_gives("Heads at rest", few)
slider.set_value(0.1)
run(app)
assert app.query_params["least"] == ["0.1"] or app.query_params["least"] == "0.1"
code_gives("Heads at rest", expected[expected >= 0.1])
app.slider(key="view.least").set_value(1.0)
run(app)
assert "No head rests that much." in words(app) and "Heads at rest" not in FRAMES
app = open_page("resting", least="2", **REPEATED)
assert app.slider(key="view.least").value == 0.0
assert "Least attention at rest shown: " in words(app)
""",
}
