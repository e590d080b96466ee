"""What heads do on each row of a set: equal to runs of the model on that row alone."""

import numpy as np
import pytest
import torch

from analysis.by_row import (
    ByRow,
    ablation_by_row,
    attention_by_row,
    corrupt_side,
    direct_by_row,
    patching_by_row,
    score_by_row,
)
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.heads.scores import head_scores
from analysis.models.loading import HeadModel, load_model
from analysis.runs.inputs import tokenize
from analysis.sets.fitted import next_token
from analysis.sets.rows import PromptRow, PromptSet, marked

ROWS = (
    PromptRow(
        "The old cat sat by the old",
        corrupt="The red cat sat by the red",
        answer=" cat",
        foil=" house",
        places=marked({"beast": "cat"}),
    ),
    PromptRow(
        "One day the dog saw a cat and the dog",
        corrupt="One day the cat saw a dog and the cat",
        answer=" saw",
        foil=" cat",
    ),
    PromptRow("A house", corrupt="The little house", answer=" in", foil=" was"),
)
SET = PromptSet("rows", ROWS)
HEAD = Head(1, 2)


@pytest.fixture(scope="module")
def gelu() -> HeadModel:
    return load_model("gelu-4l")


def logit_diff(model: HeadModel, row: PromptRow, prompt: str, hooks=()) -> float:  # noqa: ANN001
    """By TransformerLens's own hooks, on one prompt."""
    ids = tokenize(model, prompt, True).tensor
    with torch.inference_mode():
        logits = model.bridge.run_with_hooks(ids, fwd_hooks=list(hooks))[0, -1]
    answer, foil = (next_token(model, prompt, text or "") for text in (row.answer, row.foil))
    return float(logits[answer] - logits[foil])


def pattern_of(model: HeadModel, prompt: str) -> np.ndarray:
    kept = []
    hook = (f"blocks.{HEAD.layer}.attn.hook_pattern", lambda p, hook: kept.append(p.clone()))
    with torch.inference_mode():
        model.bridge.run_with_hooks(tokenize(model, prompt, True).tensor, fwd_hooks=[hook])
    return kept[0][0, HEAD.head].numpy()


def test_scores_are_those_of_each_prompt_alone(gelu: HeadModel) -> None:
    found = score_by_row(gelu, SET, "duplicate")
    assert found.rows.tolist() == [0, 1]  # in the last row no token comes twice
    alone = [head_scores(gelu, tokenize(gelu, ROWS[row].prompt, True)) for row in (0, 1)]
    np.testing.assert_allclose(found.values, [each["duplicate"] for each in alone], atol=1e-6)
    chance = [each.chance["duplicate"] for each in alone]
    assert found.chance == pytest.approx(np.mean(chance))


def test_attention_between_places_is_one_cell_of_the_pattern(gelu: HeadModel) -> None:
    found = attention_by_row(gelu, SET, "end", "beast")
    assert found.rows.tolist() == [0]
    labels = tokenize(gelu, ROWS[0].prompt, True).labels[0]
    cell = pattern_of(gelu, ROWS[0].prompt)[-1, labels.index(" cat")]
    assert found.of(HEAD)[0] == pytest.approx(cell, abs=1e-6)
    assert found.chance == pytest.approx(1 / len(labels))


def test_two_sides_are_compared_row_by_row(gelu: HeadModel) -> None:
    rows = SET.rows[:2]
    found = score_by_row(gelu, PromptSet("two", rows), "previous", "difference")
    by_side = [
        [np.diagonal(pattern_of(gelu, text or ""), -1).mean() for text in (r.prompt, r.corrupt)]
        for r in rows
    ]
    expected = [first - second for first, second in by_side]
    np.testing.assert_allclose(found.of(HEAD), expected, atol=1e-6)
    assert found.chance == 0


def test_ablation_is_the_change_of_the_logit_difference_of_each_row(gelu: HeadModel) -> None:
    def cut(z: torch.Tensor, hook: object) -> torch.Tensor:
        z[:, :, HEAD.head] = 0
        return z

    hook = (f"blocks.{HEAD.layer}.attn.hook_z", cut)
    found = ablation_by_row(gelu, SET)
    expected = [
        logit_diff(gelu, row, row.prompt, [hook]) - logit_diff(gelu, row, row.prompt)
        for row in ROWS
    ]
    np.testing.assert_allclose(found.of(HEAD), expected, atol=1e-4)


def test_patching_puts_what_a_head_wrote_on_the_clean_prompt_into_the_corrupt_one(
    gelu: HeadModel,
) -> None:
    found = patching_by_row(gelu, SET)
    assert found.rows.tolist() == [0, 1]  # the last row's prompts differ in length
    name = f"blocks.{HEAD.layer}.attn.hook_z"
    expected = []
    for row in ROWS[:2]:
        kept: list[torch.Tensor] = []
        keep = (name, lambda z, hook, kept=kept: kept.append(z.clone()))
        logit_diff(gelu, row, row.prompt, [keep])

        def put(z: torch.Tensor, hook: object, clean: torch.Tensor = kept[0]) -> torch.Tensor:
            z[:, :, HEAD.head] = clean[:, :, HEAD.head]
            return z

        patched = logit_diff(gelu, row, row.corrupt or "", [(name, put)])
        expected.append(patched - logit_diff(gelu, row, row.corrupt or ""))
    np.testing.assert_allclose(found.of(HEAD), expected, atol=1e-4)


def test_direct_effects_keep_the_places_of_their_rows(gelu: HeadModel) -> None:
    with_one_left_out = PromptSet("rows", (PromptRow("x" * 10_000, answer="a", foil="b"), *ROWS))
    found = direct_by_row(gelu, with_one_left_out)
    assert found.rows.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.values, direct_by_row(gelu, SET).values, atol=1e-6)


def test_what_cannot_be_measured_is_said(gelu: HeadModel) -> None:
    plain = PromptSet("plain", (PromptRow("One day"), PromptRow("A house")))
    with pytest.raises(AnalysisError, match="no row has “end” with “answer”"):
        attention_by_row(gelu, plain)
    with pytest.raises(AnalysisError, match="Row 1 has no corrupt prompt"):
        corrupt_side(plain)
    with pytest.raises(AnalysisError, match="an answer and a foil in every row"):
        patching_by_row(gelu, plain)
    lengths = PromptSet("lengths", ROWS[2:])
    with pytest.raises(AnalysisError, match="as many tokens"):
        patching_by_row(gelu, lengths)


def test_a_mean_has_its_spread() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    spread = ByRow(values, np.arange(3), np.nan).spread()
    np.testing.assert_allclose(spread.mean, values.mean(0))
    assert (spread.low < spread.mean).all()
    with pytest.raises(ValueError, match="finite"):
        ByRow(np.full((1, 1, 1), np.nan, np.float32), np.arange(1), 0.0)
