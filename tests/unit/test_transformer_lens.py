"""Where TransformerLens has the same function, its numbers are ours; where not, why.

Composition, circuits, eigenvalues, patching and its own attribution are compared beside the tests
of ours.
"""

import numpy as np
import pytest
import torch
from transformer_lens import evals, head_detector
from transformer_lens.utilities import lm_cross_entropy_loss

from analysis.heads.scores import head_scores, targets
from analysis.logits.attribution import logit_attribution
from analysis.logits.lens import logit_lens
from analysis.models.loading import HeadModel
from analysis.runs.inputs import Tokens, repeated_tokens, tokenize
from analysis.runs.predictions import next_token_stats
from tests.architectures import tiny

TEXT = "The cat sat on the mat, and the cat slept."
STREAMS = ("native", "native-LN-MLP", "gpt2", "neox", "llama", "qwen2")
EVERY = (*STREAMS, "qwen3", "gemma3", "gemma2")
DETECTED = {"previous": "previous_token", "duplicate": "duplicate_token", "induction": "induction"}


@pytest.mark.parametrize("architecture", ["native", "gpt2", "llama"])
@pytest.mark.parametrize("score", DETECTED)
def test_scores_equal_detect_head(architecture: str, score: str) -> None:
    """Its share is of the attention of every position, ours of those that have a target.

    So a perfect previous-token head, which has none at position 0, gets (n - 1) / n there, and a
    perfect induction head on a text with few repeats almost nothing; a factor makes them equal.
    """
    model = tiny(architecture)
    tokens = tokenize(model, TEXT)
    assert torch.equal(model.bridge.to_tokens(TEXT), tokens.tensor)
    theirs = head_detector.detect_head(model.bridge, TEXT, f"{DETECTED[score]}_head")
    with_target = targets(score, tokens)[0].any(-1).sum()
    assert 0 < with_target < tokens.length
    ours = head_scores(model, tokens)[score] * (with_target / tokens.length)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_detect_head_counts_attention_to_oneself_as_induction() -> None:
    """Where a token comes twice in a row, the one after its earlier copy is itself: no copying."""
    ids = np.array([[0, 7, 7, 9, 7]])
    tokens = Tokens(ids, (tuple("abcde"),), half_length=None, has_bos=True)
    theirs = head_detector.get_induction_head_detection_pattern(tokens.tensor).numpy() > 0
    ours = targets("induction", tokens)[0]
    assert [tuple(place) for place in np.argwhere(theirs != ours)] == [(2, 2)]
    for score, name in list(DETECTED.items())[:2]:
        pattern = getattr(head_detector, f"get_{name}_head_detection_pattern")(tokens.tensor)
        np.testing.assert_array_equal(targets(score, tokens)[0], pattern.numpy() > 0)


def _readout(model: HeadModel, parts: torch.Tensor, ids: torch.Tensor) -> np.ndarray:
    """Parts of the normed stream, [part, pos, d_model], along the logits of the next tokens.

    TransformerLens's normed parts are centred and scaled; the norm's weight is still to come.
    """
    weight = model.bridge.ln_final.original_component.weight if model.info.normalization else 1
    return torch.einsum("cpm,mp->pc", parts[:, :-1] * weight, model.bridge.W_U[:, ids[1:]]).numpy()


@pytest.mark.parametrize("architecture", STREAMS)
def test_attribution_equals_the_residual_decompositions(architecture: str) -> None:
    model = tiny(architecture)
    tokens = tokenize(model, TEXT)
    ids = tokens.tensor[0]
    ours = logit_attribution(model, tokens)
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    cache.remove_batch_dim()

    stack, labels = cache.get_full_resid_decomposition(
        expand_neurons=False, apply_ln=True, return_labels=True
    )
    theirs = dict(zip(labels, _readout(model, stack, ids).T, strict=True))
    if model.info.normalization == "LN":  # the bias of the final norm belongs to no component
        theirs["bias"] += (model.bridge.ln_final.original_component.bias @ model.bridge.W_U)[
            ids[1:]
        ].numpy()
    names = {"Direct": "embed", "Positions": "pos_embed", "Biases": "bias"}
    names |= {f"MLP{layer}": f"{layer}_mlp_out" for layer in range(model.n_layers)}
    assert len(ours.labels) > model.n_layers * model.n_heads
    for label, values in zip(ours.labels, ours.values[0].T, strict=True):
        np.testing.assert_allclose(values, theirs.pop(names.get(label, label)), atol=1e-4)
    assert all(np.abs(rest).max() < 1e-6 for rest in theirs.values())

    stack, labels = cache.decompose_resid(apply_ln=True, return_labels=True, mode="attn")
    by_layer = dict(zip(labels, _readout(model, stack, ids).T, strict=True))
    for layer in range(model.n_layers):
        heads = [i for i, label in enumerate(ours.labels) if label.startswith(f"L{layer}H")]
        # Its layers hold b_O, which is no head's: here it stands among the biases.
        bias = model.bridge.blocks[layer].attn.b_O
        written = by_layer[f"{layer}_attn_out"]
        if bias is not None:
            stack = cache.apply_ln_to_stack(bias.expand(1, len(ids), -1), has_batch_dim=False)
            written = written - _readout(model, stack, ids)[:, 0]
        np.testing.assert_allclose(ours.values[0][:, heads].sum(-1), written, atol=1e-4)


@pytest.mark.parametrize("architecture", EVERY)
def test_the_lens_equals_the_accumulated_stream(architecture: str) -> None:
    model = tiny(architecture)
    tokens = tokenize(model, TEXT)
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    # It applies the final norm with the scale that each stream has, as ours does.
    logits = cache.accumulated_resid(apply_ln=True) @ model.bridge.W_U + model.bridge.b_U
    if architecture == "gemma2":  # the cap of the logits comes after the unembedding
        logits = 3.0 * (logits / 3.0).tanh()
    log_probs = logits[:, 0, :-1].log_softmax(-1)
    came = log_probs.gather(-1, tokens.tensor[:, 1:, None].expand(len(log_probs), -1, -1))
    np.testing.assert_allclose(logit_lens(model, tokens).log_probs[0], came[..., 0], atol=1e-4)


@pytest.mark.parametrize("architecture", EVERY)
def test_the_loss_of_each_token_is_transformer_lenss(architecture: str) -> None:
    model = tiny(architecture)
    tokens = repeated_tokens(model, length=8, batch=2)
    stats = next_token_stats(model, tokens)
    theirs = model.bridge(tokens.tensor, return_type="loss", loss_per_token=True)
    np.testing.assert_allclose(-stats.log_probs, theirs, atol=1e-4)
    logits = model.bridge(tokens.tensor)
    by_token = lm_cross_entropy_loss(logits, tokens.tensor, per_token=True)
    halves = by_token[:, :8].mean(), by_token[:, 8 + 1 :].mean()
    np.testing.assert_allclose(stats.half_losses(tokens), halves, atol=1e-4)


def test_the_induction_loss_equals_that_of_evals(monkeypatch: pytest.MonkeyPatch) -> None:
    """On its own tokens: it writes BOS over the first one, where ours come with BOS in front.

    So one token fewer can be copied there; of the same sequences both are the same mean.
    """
    model, half = tiny("gpt2"), 12
    seen: list[torch.Tensor] = []
    draw = torch.randint

    class Watched:
        cfg, tokenizer = model.bridge.cfg, model.tokenizer

        def __call__(self, ids: torch.Tensor, return_type: str) -> torch.Tensor:
            seen.append(ids)
            logits: torch.Tensor = model.bridge(ids, return_type=return_type)
            return logits

    # Its tokens are those of a vocabulary of 20,000.
    monkeypatch.setattr(
        evals.torch, "randint", lambda low, high, size: draw(low, model.d_vocab, size)
    )
    theirs = evals.induction_loss(Watched(), batch_size=2, subseq_len=half, device="cpu")
    ids = seen[0].numpy()
    labels = tuple(tuple(map(str, row)) for row in ids)
    stats = next_token_stats(model, Tokens(ids, labels, half_length=None, has_bos=True))
    assert -stats.log_probs[:, half + 1 :].mean() == pytest.approx(float(theirs), abs=1e-4)
