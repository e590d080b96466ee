"""The recipe of CONTRIBUTING.md for a new score, followed on a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = re.compile(r"at the end of `([\w/.]+)`[^`]*:\n\n```python\n(.*?)```", re.I | re.S)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the example of the recipe in it; the models are the real ones."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("analysis", "app", "pages", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("streamlit_app.py", "pyproject.toml", "requirements.txt", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    if (ROOT / ".streamlit").exists():
        shutil.copytree(ROOT / ".streamlit", folder / ".streamlit")
    (folder / "models").symlink_to(ROOT / "models")
    for file, code in steps():
        with (folder / file).open("a", encoding="utf-8") as target:
            target.write(f"\n\n{code}")
    return folder


def steps() -> list[tuple[str, str]]:
    """The files that the recipe names, and what it appends to each."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Add a score\n")[2].partition("\n## ")[0]
    return RECIPE.findall(section)


def python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "HEADSCOPE_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_recipe_touches_two_files() -> None:
    assert [file for file, _ in steps()] == [
        "analysis/definitions/scores.py",
        "tests/score_samples.py",
    ]


def test_the_tests_of_the_new_score_pass(copy: Path) -> None:
    files = ("test_definitions.py", "test_scores.py", "test_history.py")
    python(copy, "-m", "pytest", "-q", *(f"tests/unit/{name}" for name in files))


def test_the_new_score_is_on_every_page(copy: Path) -> None:
    """In one process: libraries are imported once."""
    python(copy, "-c", PAGES)


PAGES = """
import html

import numpy as np
from streamlit.testing.v1 import AppTest

import analysis
from analysis import definitions as d
from app.frame import frame

NAME, REPEATED = "Skip-one score", {"input": "repeated", "length": "12", "batch": "2"}
offered, codes = {}, {}
draw_exports, snippet = frame.draw_exports, frame.snippet


def note_exports(title, reading, about, exhibits):
    offered[title] = list(exhibits)
    draw_exports(title, reading, about, exhibits)


def note_code(quantities, *arguments, **options):
    code = snippet(quantities, *arguments, **options)
    codes.update(dict.fromkeys((quantity.name for quantity in quantities), code))
    return code


frame.draw_exports, frame.snippet = note_exports, note_code


def shown(page, **query):
    offered.clear()
    codes.clear()
    app = AppTest.from_file("streamlit_app.py", default_timeout=300)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page(f"pages/{page}.py")
    app.run()
    assert not app.exception, app.exception
    assert not app.error, app.error
    parts = (app.text, app.markdown, app.caption, app.subheader, app.info)
    app.words = html.unescape(" | ".join(each.value for part in parts for each in part))
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
assert "tril(-2).triu(-2)" in codes[NAME] and "tril(-2).triu(-2)" in codes[d.SIMILARITY.name]
names = {"kept": []}
exec(codes[NAME].replace("print(result)", "kept.append(result)"), names)
same_shape = [each for each in names["kept"] if tuple(each.shape) == scores.skip.shape]
assert any(np.allclose(each, scores.skip, atol=1e-5) for each in same_shape)
(every,) = offered["Every head, every score"]
assert "Skip" in str(every.table())

# The first view comes with the model, from before: said, and nothing fails.
app = shown("finder", rank="skip", input="prompt")
assert f"Not measured: {NAME}" in app.words and "Skip is not measured" in app.words
assert "Skip" not in table(app, "Head", "Previous").columns
assert f"Not measured: {NAME}" in shown("head", input="prompt").words

app = shown("head", layer="0", head="1", **REPEATED)
rows = table(app, "Score", "Value", "Chance").set_index("Score")
assert abs(rows.loc["Skip", "Value"] - scores.skip[0, 1]) < 1e-5
assert np.isfinite(rows.loc["Skip", "Chance"]) and "Not measured" not in app.words
assert NAME in codes

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
