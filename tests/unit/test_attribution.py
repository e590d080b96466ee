"""Direct logit attribution, against the residual stream taken apart by hand."""

import einops
import numpy as np
import pytest
import torch
from transformer_lens.tools.analysis.direct_logit_attribution import direct_logit_attribution

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.logits.attribution import Attribution, logit_attribution
from analysis.logits.sources import source_attribution
from analysis.runs.inputs import repeated_tokens, tokenize
from tests.conftest import make_model

TEXT = "The cat sat on the mat, and the cat slept."


@pytest.fixture(params=["attention_only", "with_mlp"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def tokens(model):
    return repeated_tokens(model, length=6, batch=3)


def logit_of(model, tokens, resid):
    """Logits of the next tokens, less b_U, read from a final residual stream by hand.

    With a LayerNorm its scale is that of the whole stream, whatever was taken out of it.
    """
    state = model.bridge.state_dict()
    if model.info.normalization:
        _, cache = model.bridge.run_with_cache(tokens.tensor)
        whole = cache["resid_post", model.n_layers - 1]
        scale = (whole.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        resid = (resid - resid.mean(-1, keepdim=True)) / scale
        resid = resid * state["ln_final.weight"] + state["ln_final.bias"]
    logits = resid @ state["unembed.weight"].T
    return logits[:, :-1].gather(-1, tokens.tensor[:, 1:, None])[..., 0]


def test_rows_sum_to_the_logit_minus_the_bias_of_the_unembedding(model, tokens):
    found = logit_attribution(model, tokens)
    logits = model.bridge(tokens.tensor)[:, :-1]
    index = tokens.tensor[:, 1:, None]
    expected = logits.gather(-1, index)[..., 0]
    bias = model.bridge.b_U[index[..., 0]]
    np.testing.assert_allclose(found.values.sum(-1), (expected - bias).numpy(), atol=1e-4)
    np.testing.assert_allclose(found.logits, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.unembed_bias, bias.numpy(), atol=1e-6)
    assert bias.abs().min() > 0  # so that leaving it out would show
    assert found.error < 1e-4


def test_the_error_shown_is_the_largest_gap(model, tokens):
    found = logit_attribution(model, tokens)
    values = found.values.copy()
    values[1, 2, 3] += 0.005
    moved = Attribution(
        values, found.labels, found.targets, None, found.logits.copy(), found.unembed_bias.copy()
    )
    assert moved.error == pytest.approx(0.005, abs=1e-4)


def test_components_that_do_not_sum_to_the_logit_are_not_shown(model, tokens):
    """A model whose stream holds more than we know of has no attribution here."""
    found = logit_attribution(model, tokens)
    values = found.values.copy()
    values[0, 0, 0] += 0.1
    with pytest.raises(ValueError, match="sum to the logit within 0.1 only"):
        Attribution(values, found.labels, found.targets, None, found.logits, found.unembed_bias)


def test_a_head_is_worth_what_the_logit_loses_without_its_write(model, tokens):
    found = logit_attribution(model, tokens)
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    final = cache["resid_post", model.n_layers - 1]
    whole = logit_of(model, tokens, final)
    state = model.bridge.state_dict()
    for layer in range(model.n_layers):
        for head in range(model.n_heads):
            columns = slice(head * model.d_head, (head + 1) * model.d_head)
            output = state[f"blocks.{layer}.attn.o.weight"][:, columns]
            write = cache["z", layer][:, :, head] @ output.T
            expected = whole - logit_of(model, tokens, final - write)
            column = found.values[..., found.labels.index(f"L{layer}H{head}")]
            np.testing.assert_allclose(column, expected.numpy(), atol=1e-4)
            assert np.abs(column).max() > 1e-2


def test_everything_else_is_worth_what_the_logit_loses_without_it(model, tokens):
    found = logit_attribution(model, tokens)
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    final = cache["resid_post", model.n_layers - 1]
    whole = logit_of(model, tokens, final)
    writes = {"Direct": cache["embed"], "Positions": cache["pos_embed"]}
    if model.info.has_mlp:
        writes |= {f"MLP{layer}": cache["mlp_out", layer] for layer in range(2)}
    for label, write in writes.items():
        expected = whole - logit_of(model, tokens, final - write)
        column = found.values[..., found.labels.index(label)]
        np.testing.assert_allclose(column, expected.numpy(), atol=1e-4)


def test_components_are_named_in_the_order_in_which_they_write(attention_only, with_mlp):
    heads = [[f"L{layer}H{head}" for head in range(4)] for layer in range(2)]
    plain = logit_attribution(attention_only, tokenize(attention_only, TEXT))
    assert plain.labels == ("Direct", "Positions", *heads[0], *heads[1], "Biases")
    full = logit_attribution(with_mlp, tokenize(with_mlp, TEXT))
    expected = ("Direct", "Positions", *heads[0], "MLP0", *heads[1], "MLP1", "Biases")
    assert full.labels == expected


def test_a_model_without_biases_has_no_bias_component():
    model = make_model()
    for layer in range(2):
        model.bridge.blocks[layer].attn.b_O.zero_()
    found = logit_attribution(model, tokenize(model, TEXT))
    assert "Biases" not in found.labels
    assert found.error < 1e-4


def test_answer_versus_foil_is_the_difference_of_two_attributions(model, tokens):
    shape = tokens.ids[:, 1:].shape
    foils = np.random.default_rng(0).integers(0, model.d_vocab, size=shape)
    answer = logit_attribution(model, tokens)
    foil = logit_attribution(model, tokens, targets=foils)
    both = logit_attribution(model, tokens, foils=foils)
    assert both.labels == answer.labels
    np.testing.assert_allclose(both.values, answer.values - foil.values, atol=1e-4)
    np.testing.assert_allclose(both.logits, answer.logits - foil.logits, atol=1e-4)
    np.testing.assert_allclose(
        both.unembed_bias, answer.unembed_bias - foil.unembed_bias, atol=1e-6
    )
    np.testing.assert_array_equal(both.targets, tokens.ids[:, 1:])
    np.testing.assert_array_equal(both.foils, foils)


def test_a_token_against_itself_is_refused(model, tokens):
    """Every bar would be 0, and one of them "the largest"."""
    for analyse in (
        lambda targets, foils: logit_attribution(model, tokens, targets, foils),
        lambda targets, foils: source_attribution(model, tokens, Head(1, 0), targets, foils),
    ):
        for targets, foils in ((17, 17), (None, tokens.ids[:, 1:])):
            with pytest.raises(AnalysisError, match="same token"):
                analyse(targets, foils)


def test_a_foil_may_be_the_next_token_at_some_position(model, tokens):
    foil = int(tokens.ids[0, 3])
    found = logit_attribution(model, tokens, foils=foil)
    assert not found.values[0, 2].any()
    assert found.values[0, 1].any()


def test_one_number_means_that_token_at_every_position(model, tokens):
    """The last position too: there the next token is what one asks about."""
    found = logit_attribution(model, tokens, targets=17)
    assert found.values.shape[:2] == tokens.ids.shape
    np.testing.assert_array_equal(found.targets, np.full(tokens.ids.shape, 17))
    logits = model.bridge(tokens.tensor)[..., 17].numpy()
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)


def test_one_foil_goes_with_the_next_tokens(model, tokens):
    """`foils=17` alone: why each actual token rather than this one."""
    found = logit_attribution(model, tokens, foils=17)
    expected = logit_attribution(model, tokens, foils=np.full(tokens.ids[:, 1:].shape, 17))
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.foils, expected.foils)


@pytest.mark.parametrize("shorter", [0, 1])
def test_targets_may_cover_every_position_or_all_but_the_last(model, tokens, shorter):
    targets = np.random.default_rng(1).integers(
        0, model.d_vocab, size=(tokens.batch, tokens.length - shorter)
    )
    found = logit_attribution(model, tokens, targets=targets)
    logits = model.bridge(tokens.tensor)[:, : targets.shape[1]].numpy()
    expected = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)
    assert found.error < 1e-4


@pytest.mark.parametrize("shape", [(3, 11), (3, 14), (1, 13), (2, 12)])
def test_targets_of_another_shape_are_refused_with_both_shapes(attention_only, shape):
    tokens = repeated_tokens(attention_only, length=6, batch=3)
    assert tokens.ids.shape == (3, 13)
    with pytest.raises(AnalysisError, match=rf"\({shape[0]}, {shape[1]}\) .*\(3, 13\)"):
        logit_attribution(attention_only, tokens, targets=np.zeros(shape, dtype=np.int64))


def test_foils_that_do_not_fit_the_targets_are_refused(attention_only):
    tokens = repeated_tokens(attention_only, length=6, batch=3)
    with pytest.raises(AnalysisError, match=r"\(3, 13\) .*\(3, 12\)"):
        logit_attribution(attention_only, tokens, foils=np.zeros((3, 13), dtype=np.int64))


@pytest.mark.parametrize("bad", [-1, 4096, 10**6])
def test_ids_outside_the_vocabulary_are_refused(attention_only, bad):
    """-1 would silently mean the last token of the vocabulary."""
    tokens = tokenize(attention_only, TEXT)
    many = np.zeros(tokens.ids[:, 1:].shape, dtype=np.int64)
    many[0, 3] = bad
    for wrong in ({"targets": bad}, {"targets": many}, {"foils": bad}, {"foils": many}):
        with pytest.raises(AnalysisError, match="vocabulary of 4096"):
            logit_attribution(attention_only, tokens, **wrong)


def test_attribution_equals_transformerlenss_own_by_head():
    """Theirs wants compatibility mode, which is set on a model of this test's own.

    By head, its last part is merely the remainder, so heads are compared one by one.
    """
    model = make_model()
    tokens = repeated_tokens(model, length=6, batch=3)
    ours = logit_attribution(model, tokens)
    model.bridge.enable_compatibility_mode(no_processing=True)
    theirs = direct_logit_attribution(
        model.bridge,
        tokens.tensor,
        tokens.tensor[:, 1:],
        unit="head",
        pos=(0, tokens.length - 1),
    )
    heads = [label for label in ours.labels if label.startswith("L")]
    assert theirs.labels[:8] == heads
    for index, label in enumerate(heads):
        np.testing.assert_allclose(
            ours.values[..., ours.labels.index(label)],
            theirs.attribution[index].numpy(),
            atol=1e-5,
        )


def test_attribution_equals_transformerlenss_own_by_component_under_a_norm():
    """Folding moves constants between components; where the norm is plain none moves."""
    model = make_model(d_mlp=64, normalization="LN")
    model.bridge.ln_final.weight.fill_(1)
    model.bridge.ln_final.bias.zero_()
    tokens = repeated_tokens(model, length=6, batch=3)
    foils = np.roll(tokens.ids[:, 1:], 1, axis=1)
    ours = logit_attribution(model, tokens, foils=foils)
    model.bridge.enable_compatibility_mode(no_processing=True)
    theirs = direct_logit_attribution(
        model.bridge,
        tokens.tensor,
        tokens.tensor[:, 1:],
        torch.from_numpy(foils),
        pos=(0, tokens.length - 1),
    )
    column = dict(zip(theirs.labels, theirs.attribution.numpy(), strict=True))
    mine = dict(zip(ours.labels, np.moveaxis(ours.values, -1, 0), strict=True))
    np.testing.assert_allclose(mine["Direct"], column["embed"], atol=1e-4)
    np.testing.assert_allclose(mine["Positions"], column["pos_embed"], atol=1e-4)
    np.testing.assert_allclose(mine["MLP0"], column["0_mlp_out"], atol=1e-4)
    np.testing.assert_allclose(mine["MLP1"], column["1_mlp_out"], atol=1e-4)
    attention = sum(value for label, value in mine.items() if label.startswith("L"))
    np.testing.assert_allclose(
        attention + mine["Biases"], column["0_attn_out"] + column["1_attn_out"], atol=1e-4
    )


def test_attribution_does_not_depend_on_the_rest_of_the_batch(model, tokens):
    together = logit_attribution(model, tokens)
    for row in range(tokens.batch):
        one = type(tokens)(tokens.ids[row : row + 1].copy(), (tokens.labels[row],), 6, True)
        np.testing.assert_allclose(
            logit_attribution(model, one).values[0], together.values[row], atol=1e-4
        )


def test_values_equal_an_einsum_in_float64(attention_only):
    """The difference has to be rounding: it is a hundred times below what is shown."""
    model = attention_only
    tokens = tokenize(model, TEXT)
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    found = logit_attribution(model, tokens)
    direction = model.bridge.W_U.double()[:, tokens.tensor[0, 1:]]
    for layer in range(2):
        exact = einops.einsum(
            cache["z", layer][0, :-1].double(),
            model.bridge.blocks[layer].attn.W_O.double(),
            direction,
            "p h e, h e m, m p -> p h",
        )
        start = found.labels.index(f"L{layer}H0")
        np.testing.assert_allclose(found.values[0, :, start : start + 4], exact.numpy(), atol=1e-5)


def test_every_tensor_is_made_on_the_models_device(model, tokens):
    """A tensor made on the CPU by default fails beside weights on a GPU.

    The default device is moved away from the model's here, because a test machine has no GPU.
    """
    expected = logit_attribution(model, tokens, foils=17)
    with torch.device("meta"):
        found = logit_attribution(model, tokens, foils=17)
    np.testing.assert_array_equal(found.values, expected.values)


def test_results_are_read_only(model, tokens):
    """One result is shared by every visitor through the cache."""
    found = logit_attribution(model, tokens, foils=17)
    for array in (found.values, found.targets, found.foils, found.logits, found.unembed_bias):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert tokens.ids.flags.writeable is False
    assert not np.shares_memory(found.targets, tokens.ids)


def test_the_end_of_a_prompt_is_explained_by_a_token_that_is_given(model, tokens):
    """The rows before stay what they were; the last is that token's, read off the stream."""
    ends = model.bridge(tokens.tensor)[:, -1].argmax(-1).numpy()
    found = logit_attribution(model, tokens, end=ends)
    without = logit_attribution(model, tokens)
    np.testing.assert_allclose(found.values[:, :-1], without.values, atol=1e-5)
    np.testing.assert_array_equal(found.targets[:, -1], ends)
    logits = model.bridge(tokens.tensor)[:, -1].numpy()
    bias = model.bridge.b_U.numpy()[ends]
    rows = np.arange(len(ends))
    np.testing.assert_allclose(found.values[:, -1].sum(-1), logits[rows, ends] - bias, atol=1e-4)
    head = Head(1, 2)
    by_source = source_attribution(model, tokens, head, end=ends)
    column = found.labels.index(head.label)
    np.testing.assert_allclose(by_source.values.sum(-1), found.values[..., column], atol=1e-4)
    with pytest.raises(AnalysisError, match="outside tiny's vocabulary"):
        logit_attribution(model, tokens, end=model.d_vocab)


def test_a_layers_total_is_what_its_attention_and_its_mlp_write(model, tokens):
    """Read from the stream's own sums, which know no heads; b_O belongs to none of them."""
    totals = logit_attribution(model, tokens).by_layer
    whole, cache = model.bridge.run_with_cache(tokens.tensor)
    final = cache["resid_post", model.n_layers - 1]
    base = logit_of(model, tokens, final)
    for layer, block in enumerate(model.bridge.blocks):
        heads = cache["attn_out", layer] - block.attn.b_O
        lost = base - logit_of(model, tokens, final - heads)
        np.testing.assert_allclose(totals.attention[..., layer], lost.numpy(), atol=1e-4)
        if model.info.has_mlp:
            lost = base - logit_of(model, tokens, final - cache["mlp_out", layer])
            np.testing.assert_allclose(totals.mlp[..., layer], lost.numpy(), atol=1e-4)
    assert (totals.mlp is None) == (not model.info.has_mlp)
    assert np.abs(totals.attention).max() > 0.01
