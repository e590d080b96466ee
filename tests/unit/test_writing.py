"""Writing on with interventions, against transformers' own generation and by hand."""

import numpy as np
import pytest
import torch

from analysis.effects.writing import write_on
from analysis.errors import AnalysisError
from analysis.runs import onward
from analysis.runs.forward import run
from analysis.runs.inputs import repeated_tokens
from analysis.runs.onward import keeps_keys
from tests.architectures import CONFIGS, plain, tiny
from tests.unit.test_patching import some_tokens

PROMPT = [[1, 41, 52, 63, 41, 7]]


@pytest.mark.parametrize("architecture", CONFIGS)
def test_an_empty_recipe_writes_what_transformers_generates(architecture):
    model, ids = tiny(architecture), torch.tensor(PROMPT)
    end = model.tokenizer.eos_token_id
    generated = plain(architecture).generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=8,
        eos_token_id=end,
        pad_token_id=end,
    )
    found = write_on(model, some_tokens(PROMPT), "", 8)
    expected = generated[0, 6:].tolist()
    assert found.clean.tolist() == expected
    assert found.edited.tolist() == expected
    assert found.differs_at is None
    np.testing.assert_array_equal(found.probs[0], found.probs[1])


def by_hand(model, change, count):
    """Greedy tokens of whole runs in which `change` edits z of layer 0."""
    ids = torch.tensor(PROMPT)

    def edit(z, hook):
        z = z.clone()
        change(z)
        return z

    for _ in range(count):
        logits, _ = run(model, ids, hooks=[("blocks.0.attn.hook_z", edit)])
        ids = torch.cat([ids, logits[:, -1].argmax(-1, keepdim=True)], 1)
    return ids[0, 6:].tolist()


@pytest.mark.parametrize("architecture", ["native", "gpt2", "llama"])
@pytest.mark.parametrize("acts", ["both", "prompt", "written"])
def test_a_recipe_acts_where_it_is_said_to(architecture, acts):
    model = tiny(architecture)
    span = {"both": slice(None), "prompt": slice(6), "written": slice(6, None)}[acts]

    def dial(z):
        z[:, span, 1] *= -1
        z[:, span, 2] *= 2

    found = write_on(model, some_tokens(PROMPT), "L0H1x-1_L0H2x2", 6, acts=acts)
    assert found.edited.tolist() == by_hand(model, dial, 6)


def test_probabilities_are_of_the_same_text_without_and_with_the_recipe(attention_only):
    found = write_on(attention_only, some_tokens(PROMPT), "L0H1x-1_L1H2x2", 5)
    ids = torch.tensor([[*PROMPT[0], *found.edited.tolist()]])
    logits, _ = run(attention_only, ids)
    clean = logits[0, 5:-1].softmax(-1)[torch.arange(5), torch.tensor(found.edited)]
    np.testing.assert_allclose(found.probs[0], clean, atol=1e-5)
    assert np.abs(found.probs[1] - found.probs[0]).max() > 1e-3


def test_an_edited_row_stays_edited_while_more_is_written(attention_only):
    second = some_tokens([[1, 9, 8, 77, 9, 5]])
    for recipe in ("L1H2q5k1", "L1H2-borrow", "R1p5", "R1x0.5", "L1H2-mean", "L1H2-resample"):
        found = write_on(attention_only, some_tokens(PROMPT), recipe, 3, second=second)
        assert len(found.edited) == 3


def test_repeated_tokens_are_written_on_with_every_kind_of_step(attention_only):
    tokens = repeated_tokens(attention_only, 4, 1)
    for recipe in STEPS.values():
        second = some_tokens([[1, 9, 8, 77, 9, 5, 3, 2, 4]])
        assert len(write_on(attention_only, tokens, recipe, 3, second=second).edited) == 3


def test_the_same_seed_writes_the_same_and_another_another(attention_only):
    def written(seed, recipe=""):
        tokens = some_tokens(PROMPT)
        return write_on(attention_only, tokens, recipe, 12, temperature=1.0, seed=seed)

    np.testing.assert_array_equal(written(3).edited, written(3).edited)
    assert written(3).edited.tolist() != written(4).edited.tolist()
    np.testing.assert_array_equal(written(3).clean, written(3, "L0H1x0").clean)


def test_what_is_drawn_is_as_likely_as_the_model_says(attention_only):
    first = [
        int(write_on(attention_only, some_tokens(PROMPT), "", 1, temperature=0.1, seed=i).edited[0])
        for i in range(300)
    ]
    logits, _ = run(attention_only, torch.tensor(PROMPT))
    shares = (logits[0, -1] / 0.1).softmax(-1)
    likely = int(shares.argmax())
    assert 0.1 < float(shares[likely]) < 0.95
    share = np.mean([token == likely for token in first])
    assert share == pytest.approx(float(shares[likely]), abs=4 * (0.25 / 300) ** 0.5)


SECOND = [[1, 9, 8, 77, 9, 5]]
STEPS = {
    "all": "L0H1x-1_L1H2v3x2_L0H3-mean_L1H0-resample_R1x0.5",
    "of the prompt": "L1H2q5k1_L1H3-borrow_R1p5_L0H1x-1",
}


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "neox", "gemma2"])
@pytest.mark.parametrize("recipe", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("acts", ["both", "prompt", "written"])
def test_kept_keys_and_values_write_what_whole_runs_write(monkeypatch, architecture, recipe, acts):
    model = tiny(architecture)
    assert keeps_keys(model)
    texts = []
    for kept in (True, False):
        monkeypatch.setattr(onward, "keeps_keys", lambda model, kept=kept: kept)
        tokens, second = some_tokens(PROMPT), some_tokens(SECOND)
        texts.append(write_on(model, tokens, recipe, 8, acts=acts, second=second))
    quick, whole = texts
    assert (quick.clean.tolist(), quick.edited.tolist()) == (
        whole.clean.tolist(),
        whole.edited.tolist(),
    )
    np.testing.assert_allclose(quick.probs, whole.probs, atol=1e-5)


def test_models_that_keep_no_keys_are_found_out(attention_only):
    assert not keeps_keys(attention_only)


@pytest.mark.parametrize("architecture", ["native", "llama"])
def test_a_shorter_text_is_the_beginning_of_a_longer_one(architecture):
    model, seen = tiny(architecture), []
    options = {"temperature": 1.0, "seed": 2}
    recipe = "L0H1-resample_L1H2-mean"
    longer = write_on(model, some_tokens(PROMPT), recipe, 9, **options, told=seen.append)
    shorter = write_on(model, some_tokens(PROMPT), recipe, 4, **options)
    for found in (shorter, seen[3]):
        np.testing.assert_array_equal(found.edited, longer.edited[:4])
        np.testing.assert_array_equal(found.clean, longer.clean[:4])
        np.testing.assert_array_equal(found.probs, longer.probs[:, :4])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 0}, "1 to 200"),
        ({"count": 201}, "1 to 200"),
        ({"count": 60}, "beyond the 64"),
        ({"count": 3, "temperature": 5.0}, "0 to 2"),
    ],
)
def test_what_is_out_of_range_is_refused(attention_only, options, said):
    with pytest.raises(AnalysisError, match=said):
        write_on(attention_only, some_tokens(PROMPT), "", **options)
