"""200 recipes as links bring them: each runs or is refused in a sentence, and harms nobody else."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import analysis
from analysis.effects.recipe import parse_recipe
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.loading import HeadModel
from app.links.link import link_parameters, parse_link
from tests.conftest import make_model
from tests.hostile import MANY
from tests.unit.test_patching import some_tokens

COUNT = 200
FOCUS = Head(1, 0)
TOKENS = some_tokens([[1, 41, 52, 63, 41, 7]])
SECOND = some_tokens([[1, 9, 8, 77, 9, 5]])


@pytest.fixture(scope="module")
def model() -> HeadModel:
    """It has a place for every kind of step."""
    return make_model(d_mlp=16, normalization="LN")


def recipe(draw: random.Random) -> str:
    """Some steps that may be right, one in ten of them garbled."""
    steps = [_step(draw) for _ in range(draw.choice((1, 1, 2, 3, 5, 40)))]
    return "_".join(_garbled(step, draw) if draw.random() < 0.1 else step for step in steps)


def _step(draw: random.Random) -> str:
    head = f"L{_index(draw, 2)}H{_index(draw, 4)}"
    number = draw.choice(("0", "1", "-1", "0.5", "2", "-0", "999.9999", "-999", "3"))
    place, other = _index(draw, 6), _index(draw, 6)
    step = draw.choice(
        (
            f"{head}x{number}",
            f"{head}-mean",
            f"{head}-resample",
            f"{head}v{place}x{number}",
            f"{head}q{place}k{other}",
            f"{head}q{place}k{other}x{number}",
            f"{head}-borrow",
            f"L{_index(draw, 2)}N{_index(draw, 16)}x{number}",
            f"R{_index(draw, 2)}p{place}",
            f"R{_index(draw, 2)}x{number}",
        )
    )
    return f"off-{step}" if draw.random() < 0.1 else step


def _index(draw: random.Random, below: int) -> int:
    return draw.randrange(below) if draw.random() < 0.95 else draw.choice((below, 99, 999_999))


def _garbled(step: str, draw: random.Random) -> str:
    at = draw.randrange(len(step))
    return step[:at] + draw.choice((*MANY, "", "x", "\x00", "٣", "e9", "--")) + step[at + 1 :]


def numbers(model: HeadModel) -> np.ndarray:
    """What another visitor looks at meanwhile."""
    estimate = analysis.ablation_estimate(model, TOKENS, "zero")
    return np.append(estimate.values, estimate.clean_loss)


def test_recipes_of_links_run_or_are_refused_and_nobody_elses_numbers_change(
    model: HeadModel,
) -> None:
    draw = random.Random(18)
    before = numbers(model)
    ran, refused = 0, []
    with ThreadPoolExecutor(1) as other:
        for index in range(COUNT):
            meanwhile = other.submit(numbers, model)
            values, notes = parse_link("intervene", {"recipe": [recipe(draw)]})
            assert "recipe" in values or notes
            refused += notes
            text = str(values.get("recipe") or "")
            try:
                listed = parse_recipe(text)
                # A link holds it as it was read.
                again = link_parameters("intervene", values).get("recipe", "")
                assert parse_recipe("" if again == "none" else again) == listed
                found = analysis.intervene(model, TOKENS, text, FOCUS, second=SECOND)
                assert np.isfinite(found.log_probs).all()
                if index % 10 == 0:
                    analysis.write_on(model, TOKENS, text, 2, second=SECOND)
                ran += 1
            except AnalysisError as error:
                refused.append(str(error))
            np.testing.assert_array_equal(meanwhile.result(), before)
    assert ran > COUNT / 4
    assert len(refused) > COUNT / 8
    for sentence in refused:
        assert sentence.endswith(".")
        assert len(sentence) < 400
        assert "Traceback" not in sentence
