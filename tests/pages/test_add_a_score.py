"""The recipe of CONTRIBUTING.md for a new score, followed on a copy of the repository."""

from pathlib import Path

import pytest

from tests.recipes import follow, python, run_tests, script, steps

RECIPE = "Add a score"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the example of the recipe in it."""
    return follow(RECIPE, tmp_path_factory.mktemp("copy"))


def test_the_recipe_touches_two_files() -> None:
    assert [step.file for step in steps(RECIPE)] == [
        "analysis/definitions/scores.py",
        "tests/score_samples.py",
    ]


def test_the_tests_of_the_new_score_pass(copy: Path) -> None:
    run_tests(RECIPE, copy)
    python(copy, "-m", "pytest", "-q", "tests/unit/test_history.py")


def test_the_new_score_is_on_every_page(copy: Path) -> None:
    """In one process: libraries are imported once."""
    script(copy, PAGES)


PAGES = """
import numpy as np

import analysis
from analysis import definitions as d
from tests.noted import FRAMES, codes, open_page, results, words

NAME, REPEATED = "Skip-one score", {"input": "repeated", "length": "12", "batch": "2"}


def shown(page, **query):
    app = open_page(page, **query)
    app.words = words(app)
    assert "damaged" not in app.words
    return app


def table(app, *columns):
    return next(t.value for t in app.main.dataframe if set(columns) <= set(t.value.columns))


# Computed where heads are scored: ranked, in a column, in Code and in Export.
app = shown("finder", rank="skip", x="skip", **REPEATED)
heads = table(app, "Head", "Skip")
assert heads["Skip"].is_monotonic_decreasing and 0 < heads["Skip"].iloc[0] <= 1
model = analysis.load_model("attn-only-2l")
scores = analysis.head_scores(model, analysis.repeated_tokens(model, 12, 2))
at = analysis.Head.parse(heads["Head"].iloc[0])
assert abs(heads["Skip"].iloc[0] - scores.skip[at.layer, at.head]) < 1e-5
assert abs(scores.skip[at.layer, at.head] - scores.skip.max()) < 1e-6
assert "tril(-2).triu(-2)" in codes()[NAME]
assert "tril(-2).triu(-2)" in codes()[d.SIMILARITY.name]
same_shape = [each for each in results(codes()[NAME]) if each.shape == scores.skip.shape]
assert any(np.allclose(each, scores.skip, atol=1e-5) for each in same_shape)
(every,) = FRAMES["Every head, every score"].exhibits
assert "Skip" in str(every.table())

# The first view comes with the model, from before: said, and nothing fails.
app = shown("finder", rank="skip", input="prompt")
assert f"Not measured: {NAME}" in app.words and "Skip is not measured" in app.words
assert "Skip" not in table(app, "Head", "Previous").columns
assert f"Not measured: {NAME}" in shown("head", input="prompt").words

app = shown("head", layer="0", head="1", **REPEATED)
rows = table(app, "Score", "Value", "Chance").set_index("Score")
assert abs(rows.loc["Skip", "Value"] - scores.skip[0, 1]) < 1e-5
assert np.isfinite(rows.loc["Skip", "Chance"]) and f"Not measured: {NAME}" not in app.words
assert NAME in codes()

rows = table(shown("compare", **REPEATED), "Score", "B − A").set_index("Score")
assert np.isfinite(rows.loc[NAME, "Chance in A"])
rows = table(shown("compare", input="prompt"), "Score", "B − A").set_index("Score")
assert np.isnan(rows.loc[NAME, "Chance in A"])
shown("attention")

app = shown("mosaic", score="skip", sort="best")
assert f"{NAME} of every head of every model" in app.words
assert app.words.count(f"Not measured: {NAME}") >= 2
app = shown("training", score="skip")
assert f"Not measured: {NAME}" in app.words and "The transition is at step" in app.words
assert len(app.get("plotly_chart")) == 1  # the losses
assert len(shown("training").get("plotly_chart")) == 3
assert NAME in shown("glossary", term="skip-one").words
"""
