"""Verdicts: a group's ablation beside that of matched-random groups."""

import numpy as np
import pytest
import torch

from analysis.effects.groups import group_metrics, random_groups
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.loading import HeadModel
from analysis.roles.scores import role_scores
from analysis.roles.verdict import verdict
from analysis.runs.forward import silence
from analysis.sets.fitted import FittedSet, fit_set, prompt_set
from analysis.sets.metrics import set_metric
from analysis.sets.rows import Place, PromptRow, PromptSet
from tests.conftest import make_model
from tests.synthetic import IDLE, MOVER, NEGATIVE, QUIET_CAUSE, model_with_roles, prompts

MIXED = PromptSet(
    "mixed",
    (
        PromptRow("he said to", answer="the", foil="a", places=(Place("who", "he"),)),
        PromptRow("then she said to", answer="him", foil="her", places=(Place("who", "she"),)),
        PromptRow("he came to", answer="a", foil="him", places=(Place("who", "he"),)),
    ),
)


@pytest.fixture(scope="module")
def made() -> tuple[HeadModel, FittedSet]:
    model = model_with_roles()
    return model, fit_set(model, prompts())


@pytest.mark.parametrize(
    ("head", "opposes", "word"),
    [
        (MOVER, False, "cause"),
        (IDLE, False, "correlate"),  # looks like a subject suppressor, and writes nothing
        (QUIET_CAUSE, False, "cause"),  # looks like no role of the answer, and matters
        (NEGATIVE, True, "cause"),
        (NEGATIVE, False, "interferer"),
        (Head(0, 3), False, "correlate"),
    ],
)
def test_heads_made_to_matter_are_causes_whatever_they_look_like(
    made: tuple[HeadModel, FittedSet], head: Head, opposes: bool, word: str
) -> None:
    found = verdict(*made, [head], opposes=opposes)
    assert found.word == word
    assert len(found.random) == 7  # the other heads of its layer
    assert found.false_positive == 1 / 8


def test_no_head_is_a_verdict_of_null(made: tuple[HeadModel, FittedSet]) -> None:
    found = verdict(*made, [])
    assert (found.word, found.effect, len(found.random)) == ("null", 0, 0)
    assert found.clean == pytest.approx(float(set_metric(*made).values.mean()))


def test_a_head_matters_more_where_its_backup_is_gone_with_it() -> None:
    """A second mover wakes only when the first is gone, and makes up for a part of it."""
    model = model_with_roles()
    attention = model.bridge.blocks[3].attn
    fitted = fit_set(model, prompts())
    names = {row.answer for row in fitted.rows} | {row.foil for row in fitted.rows}
    mean_name = model.bridge.W_E[sorted(name for name in names if name is not None)].mean(0)
    # It reads at the last token what the mover has written there: as much lowers its own query.
    attention.W_Q[4].zero_()
    attention.W_K[4].zero_()
    attention.W_Q[4, 192 + 15, 0] = 1
    attention.W_Q[4, :, 0] -= 0.5 * mean_name / mean_name.norm()
    attention.W_K[4, 192 + 4, 0] = 40 * 8
    attention.b_Q.view(8, 64)[4] = 0
    attention.b_Q.view(8, 64)[4, 1] = 1
    attention.W_K[4, 192, 1] = 20 * 8
    attention.W_V[4] = model.bridge.blocks[1].attn.W_V[0]
    attention.W_O[4] = model.bridge.blocks[1].attn.W_O[0]
    alone = verdict(model, fitted, [MOVER])
    assert alone.backups == (Head(3, 4),)
    assert alone.redundancy is not None and alone.redundancy.word == "cause"
    assert alone.redundancy.effect < 1.3 * alone.effect < 0


def test_groups_are_ablated_as_a_whole_run_with_hooks_would(attention_only: HeadModel) -> None:
    model, fitted = attention_only, fit_set(attention_only, MIXED)
    groups = [(Head(0, 1),), (Head(1, 0), Head(0, 3)), (Head(1, 2),)]
    found = group_metrics(model, fitted, groups)
    for index, group in enumerate([(), *groups]):
        values = found.without[index - 1] if index else found.clean
        for at, row in enumerate(fitted.rows):
            logits = model.bridge.run_with_hooks(
                torch.tensor([row.ids]), return_type="logits", fwd_hooks=silence(group)
            )[0, -1]
            expected = float(logits[row.answer] - logits[row.foil])
            assert values[at] == pytest.approx(expected, abs=1e-4)


def z_of(model: HeadModel, fitted: FittedSet, head: Head) -> list[np.ndarray]:
    name = f"blocks.{head.layer}.attn.hook_z"
    found = []
    for row in fitted.rows:
        _, cache = model.bridge.run_with_cache(torch.tensor([row.ids]))
        found.append(cache[name][0, :, head.head].numpy())
    return found


def replaced(model: HeadModel, ids: tuple[int, ...], head: Head, z: np.ndarray) -> torch.Tensor:
    def put(activation: torch.Tensor, hook: object) -> torch.Tensor:
        activation[0, :, head.head] = torch.from_numpy(z)
        return activation

    hooks = [(f"blocks.{head.layer}.attn.hook_z", put)]
    return model.bridge.run_with_hooks(torch.tensor([ids]), return_type="logits", fwd_hooks=hooks)[
        0, -1
    ]


def test_mean_ablation_of_one_length_is_by_position_over_the_set(
    attention_only: HeadModel,
) -> None:
    model, head = attention_only, Head(0, 2)
    fitted = fit_set(model, PromptSet("x", tuple(MIXED.rows[i] for i in (0, 2))))
    mean = np.mean(z_of(model, fitted, head), 0)
    found = group_metrics(model, fitted, [(head,)], "mean")
    for at, row in enumerate(fitted.rows):
        logits = replaced(model, row.ids, head, mean)
        expected = float(logits[row.answer] - logits[row.foil])
        assert found.without[0, at] == pytest.approx(expected, abs=1e-4)


def test_mean_ablation_of_mixed_lengths_is_by_named_place(attention_only: HeadModel) -> None:
    """Places are laid on each other over rows; all positions without a name have one mean."""
    model, head = attention_only, Head(0, 2)
    fitted = fit_set(model, MIXED)
    z = z_of(model, fitted, head)
    who, end = ([each.places[name] for each in fitted.rows] for name in ("who", "end"))
    means = {"first": np.mean([each[0] for each in z], 0)}
    means["who"] = np.mean([each[at] for each, at in zip(z, who, strict=True)], 0)
    means["end"] = np.mean([each[at] for each, at in zip(z, end, strict=True)], 0)
    rest = [
        each[at]
        for each, row in zip(z, fitted.rows, strict=True)
        for at in range(len(each))
        if at not in (0, row.places["who"], row.places["end"])
    ]
    found = group_metrics(model, fitted, [(head,)], "mean")
    for at, row in enumerate(fitted.rows):
        put = np.tile(np.mean(rest, 0), (len(row.ids), 1))
        put[0], put[row.places["who"]], put[-1] = means["first"], means["who"], means["end"]
        logits = replaced(model, row.ids, head, put)
        expected = float(logits[row.answer] - logits[row.foil])
        assert found.without[0, at] == pytest.approx(expected, abs=1e-4)


def test_resampling_swaps_rows_and_says_where_it_cannot(attention_only: HeadModel) -> None:
    model, head = attention_only, Head(0, 2)
    fitted = fit_set(model, PromptSet("x", tuple(MIXED.rows[i] for i in (0, 2))))
    z = z_of(model, fitted, head)
    found = group_metrics(model, fitted, [(head,)], "resample")
    for at, row in enumerate(fitted.rows):
        logits = replaced(model, row.ids, head, z[1 - at])
        expected = float(logits[row.answer] - logits[row.foil])
        assert found.without[0, at] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(AnalysisError, match="no other row"):
        group_metrics(model, fit_set(model, MIXED), [(head,)], "resample")


def test_a_set_without_answers_is_judged_by_its_loss(attention_only: HeadModel) -> None:
    found = verdict(attention_only, prompt_set(attention_only, ["he ran", "a cat"]), [Head(0, 0)])
    assert found.metric == "loss" and found.redundancy is None
    with pytest.raises(AnalysisError, match="answer and a foil in every row"):
        verdict(
            attention_only,
            PromptSet("x", (PromptRow("he ran"),)),
            [Head(0, 0)],
            metric="logit_diff",
        )


def test_random_groups_match_layers_and_keep_clear_of_the_group(attention_only: HeadModel) -> None:
    group = (Head(0, 1), Head(0, 2), Head(1, 0))
    drawn = random_groups(attention_only, group, 10, seed=4)
    assert len(drawn) == 3 == len(set(drawn))  # 1 way in layer 0, 3 in layer 1
    for each in drawn:
        assert [head.layer for head in each] == [0, 0, 1]
        assert not set(each) & set(group)
    assert (
        random_groups(attention_only, [Head(1, 1)], 2)
        == random_groups(attention_only, [Head(1, 1)], 3)[:2]
    )
    with pytest.raises(AnalysisError, match="1 others are left"):
        random_groups(attention_only, [Head(0, 0), Head(0, 1), Head(0, 2)])


def test_random_models_have_no_more_causes_than_their_rate_says() -> None:
    """Heads that look most like a role in models of noise: by luck alone are they causes."""
    words, rates = [], []
    for seed in range(14):
        model = make_model(n_layers=2, n_heads=8, seed=seed)
        fitted = fit_set(model, prompts(10))
        seen = role_scores(model, fitted, roles=["subject-suppressor", "sink", "positional"])
        for role in seen.screens:
            values = seen.values[role]
            head = Head(*divmod(int(values.argmax()), values.shape[1]))
            found = verdict(model, fitted, [head], redundancy=False)
            words.append(found.word)
            rates.append(found.false_positive)
    rate = float(np.mean(rates))
    bound = rate + 3 * np.sqrt(rate * (1 - rate) / len(words))
    for word in ("cause", "interferer"):
        assert words.count(word) / len(words) <= bound, word


def test_a_verdict_can_be_cancelled_and_counts_to_the_end(
    made: tuple[HeadModel, FittedSet],
) -> None:
    seen: list[int] = []
    verdict(*made, [MOVER], progress=lambda done, total: seen.append(done))
    assert seen == sorted(seen) and seen[-1] >= 50

    def cancel(done: int, total: int) -> None:
        if done > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verdict(*made, [MOVER], progress=cancel)
