"""The recipe of CONTRIBUTING.md for a new role, followed on a copy of the repository."""

import sys
from pathlib import Path

import pytest

from tests.recipes import follow, run, run_tests, script, steps

RECIPE = "Add a role"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the example of the recipe in it."""
    return follow(RECIPE, tmp_path_factory.mktemp("copy"))


def test_the_recipe_is_one_new_file(copy: Path) -> None:
    (step,) = steps(RECIPE)
    assert step.how == "the whole of"
    assert not (Path(__file__).parents[2] / step.file).exists()
    run(copy, str(BIN / "ruff"), "check", "--no-cache", step.file)
    run(copy, str(BIN / "ruff"), "format", "--check", "--no-cache", step.file)


def test_the_tests_that_the_recipe_names_pass(copy: Path) -> None:
    run_tests(RECIPE, copy)


def test_the_new_role_is_screened_and_judged(copy: Path) -> None:
    script(copy, PAGES)


PAGES = """
import numpy as np

import analysis
from tests.noted import FRAMES, codes, open_page, results, words

SET = {"set": "repeated-name", "rows": "4", "model": "gelu-4l"}
model = analysis.load_model("gelu-4l")
texts = analysis.prompt_set(model, "repeated-name", count=4).prompts
patterns = [analysis.attention_patterns(model, analysis.tokenize(model, t)).values for t in texts]
expected = np.mean([each[0, :, :, -1, -2] for each in patterns], 0)

app = open_page("roles", role="last-but-one", **SET)
table = app.dataframe[0].value.set_index("Role")
assert abs(table.loc["Last but one", "Screen"] - expected.max()) < 1e-4
assert app.query_params["role"] in ("last-but-one", ["last-but-one"])
given = [each for each in results(codes()["Last but one"]) if each.shape == expected.shape]
assert any(np.allclose(each, expected, atol=1e-4) for each in given)

layer, head = divmod(int(expected.argmax()), expected.shape[1])
group = f"L{layer}H{head}"
app = open_page("roles", role="last-but-one", group=group, judge="1", **SET)
assert any(word in words(app) for word in ("### Cause", "### Correlate", "### Interferer"))
app = open_page("head", layer=str(layer), head=str(head), **SET)
assert "looks like the role “last but one”" in words(app)
assert "Last but one" in words(open_page("glossary", term="last but one"))
"""
