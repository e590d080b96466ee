"""A loaded model gives what transformers gives, or it is refused; what it allows is measured."""

import dataclasses

import numpy as np
import pytest
import torch

import analysis
from analysis.circuits.composition import composition_scores
from analysis.circuits.copying import ov_copying
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.logits.attribution import logit_attribution
from analysis.logits.lens import logit_lens
from analysis.models.capabilities import why_not
from analysis.models.check import TOLERANCE
from analysis.models.loading import load_model
from analysis.neurons import neuron_activations
from analysis.runs.inputs import repeated_tokens
from analysis.runs.patterns import attention_patterns
from analysis.runs.predictions import next_token_stats
from tests import model_folders as made
from tests.model_folders import GEMMA3, GPT2, LLAMA, NEOX, OTHERS, edit, offered, save


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder for HEADSCOPE_MODELS with every architecture in it."""
    root = tmp_path_factory.mktemp("architectures")
    for name, settings in OTHERS.items():
        save(root, name, settings)
    with offered(root):
        yield root


@pytest.fixture(scope="module")
def load(root):
    """Each of those, loaded once."""
    loaded = {}

    def load(name):
        if name not in loaded:
            loaded[name] = load_model(name)
        return loaded[name]

    return load


@pytest.mark.parametrize("name", OTHERS)
def test_patterns_and_loss_are_those_of_transformers(root, load, name):
    model = load(name)
    assert 0 <= model.checked < TOLERANCE
    tokens = repeated_tokens(model, length=12, batch=3, seed=5)
    inner = made.transformers_itself(root / name)
    with torch.no_grad():
        right = inner(tokens.tensor, output_attentions=True)
    found = attention_patterns(model, tokens).values
    np.testing.assert_allclose(found, torch.stack(right.attentions, 1), atol=1e-5)
    log_probs = right.logits[:, :-1].log_softmax(-1).gather(-1, tokens.tensor[:, 1:, None])
    found = next_token_stats(model, tokens)
    np.testing.assert_allclose(found.log_probs, log_probs[..., 0], atol=1e-3)
    assert model.info.n_params == sum(p.numel() for p in inner.parameters())


# What each was found to be: positions, scores, and the analyses that it does not have.
FOUND = {
    "mistral": ("rotary", "plain", set()),
    "gptj": ("rotary", "plain", {"Patching of patterns"}),
    "gpt_neo": ("learned", "plain", {"Patching of patterns"}),
    "opt": ("learned", "plain", {"Patching of patterns"}),
    "bloom": ("alibi", "plain", {"OV circuits", "V-composition", "QK"}),
    "falcon": ("rotary", "plain", set()),
    "falcon-alibi": ("alibi", "plain", set()),
    "phi": ("rotary", "plain", set()),
    "phi3": ("rotary", "plain", set()),
    "olmo2": ("rotary", "normed", {"OV circuits", "V-composition", "QK"}),
    "stablelm": ("rotary", "plain", set()),
    "granite": ("rotary", "plain", set()),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_allowed_is_what_the_model_does(load, name):
    model = load(name)
    positions, scores, without = FOUND[name]
    assert (model.info.positions, model.info.traits.scores) == (positions, scores)
    tokens = repeated_tokens(model, length=3, batch=2)
    calls = {
        "Neurons": lambda: neuron_activations(model, tokens, 0),
        "Logit lens": lambda: logit_lens(model, tokens),
        "Attribution to a logit, by head and source": lambda: logit_attribution(model, tokens),
        "OV circuits": lambda: ov_copying(model, [Head(1, 2)]),
        "V-composition": lambda: composition_scores(model, "V"),
        "Q- and K-composition": lambda: composition_scores(model, "K"),
    }
    for row, call in calls.items():
        reason = why_not(row, model.info)
        short = "QK" if row.startswith("Q-") else row.split(" to ")[0]
        assert bool(reason) == (short in without), (row, reason)
        if reason:
            with pytest.raises(AnalysisError) as refused:
                call()
            assert str(refused.value).split(",")[0] == reason.split(",")[0]
        else:
            call()
    assert bool(why_not("Patching of patterns", model.info)) == ("Patching of patterns" in without)


@pytest.mark.parametrize("name", OTHERS)
def test_where_attribution_is_allowed_it_adds_up_to_transformers_logit(root, load, name):
    model = load(name)
    if why_not("Attribution to a logit, by head and source", model.info):
        return
    tokens = repeated_tokens(model, length=5, batch=2)
    with torch.no_grad():
        logits = made.transformers_itself(root / name)(tokens.tensor).logits[:, :-1]
    right = logits.gather(-1, tokens.tensor[:, 1:, None])[..., 0]
    result = logit_attribution(model, tokens)
    np.testing.assert_allclose(result.values.sum(-1) + result.unembed_bias, right, atol=2e-3)


@pytest.mark.parametrize("name", ["gpt_neo", "opt"])
def test_the_scale_is_the_one_that_transformers_patterns_have(root, load, name):
    """GPT-Neo's modules keep no scale: it is 1, found by what they do."""
    model = load(name)
    inner = made.transformers_itself(root / name)
    tokens = repeated_tokens(model, length=5, batch=1)
    seen = {}
    for part, module in inner.named_modules():
        if part.endswith(("q_proj", "k_proj")) and ".1." in part:
            module.register_forward_hook(
                lambda module, args, out, key=part[-6]: seen.__setitem__(key, out)
            )
    with torch.no_grad():
        pattern = inner(tokens.tensor, output_attentions=True).attentions[1]
    query, key = (seen[p].unflatten(-1, (4, 8)).transpose(1, 2) for p in "qk")
    scores = query @ key.mT * model.attention_scale(1)
    hidden = torch.ones_like(scores).triu(1).bool()
    torch.testing.assert_close(
        scores.masked_fill(hidden, -torch.inf).softmax(-1), pattern, atol=1e-5, rtol=0
    )


# Of every quantity whose parts have a sum that the model gives itself, or a right answer.
ERRORS = {
    "verify_pattern": lambda model, t: analysis.verify_pattern(model, t, 1).difference,
    "score_split": lambda model, t: _split_error(analysis.score_split(model, t, Head(1, 1), 9, 4)),
    "k_composition": lambda model, t: analysis.k_composition(model, t, 1, 1).query_error,
    "logit_attribution": lambda model, t: analysis.logit_attribution(model, t).error,
    "logit_lens": lambda model, t: analysis.logit_lens(model, t).error,
    "source_attribution": lambda model, t: analysis.source_attribution(model, t, Head(1, 1)).error,
    "weighted_patterns": lambda model, t: analysis.weighted_patterns(model, t, "answer").error,
    "offset_ablation": lambda model, t: abs(  # with every distance kept nothing is changed
        analysis.offset_ablation(model, t, 1, (range(t.length),)).values
    ).max(),
}
ANSWERS = {
    "ablation_estimate": lambda model, t: analysis.ablation_estimate(model, t),
    "ablation_sweep": lambda model, t: analysis.ablation_sweep(model, t),
    "attribution_patching": lambda model, t: analysis.attribution_patching(model, _pair(model)),
    "composition_scores": lambda model, t: analysis.composition_scores(model, "K"),
    "edge_attribution": lambda model, t: analysis.edge_attribution(model, t, "mean"),
    "k_composition_circuit": lambda model, t: analysis.k_composition_circuit(
        model, Head(0, 0), Head(1, 1)
    ),
    "keep_only": lambda model, t: analysis.keep_only(model, t, [Head(1, 1)]),
    "neuron_activations": lambda model, t: analysis.neuron_activations(model, t, 1),
    "ov_copying": lambda model, t: analysis.ov_copying(model, [Head(1, 0)]),
    "ov_eigenvalues": lambda model, t: analysis.ov_eigenvalues(model),
    "ov_svd": lambda model, t: analysis.ov_svd(model, Head(1, 1)),
    "previous_token_circuit": lambda model, t: analysis.previous_token_circuit(model, 1, 1),
    "promoted_tokens": lambda model, t: analysis.promoted_tokens(model, 1, 3),
    "qk_preferences": lambda model, t: analysis.qk_preferences(model, Head(1, 1), 5),
    "targeted_ablation": lambda model, t: analysis.targeted_ablation(model, t, Head(1, 1)),
}
_POSITIONS = {"previous_token_circuit", "qk_preferences"}
_SCORES = {"verify_pattern", "score_split", "k_composition"}
_PATTERNS = {"offset_ablation"}
_CIRCUITS = {
    "composition_scores",
    "k_composition_circuit",
    "ov_copying",
    "ov_eigenvalues",
    "ov_svd",
    *_POSITIONS,
}
# Of those two lists, what each model was found not to have.
REFUSED = {
    "mistral": _POSITIONS,
    "gptj": _POSITIONS | _SCORES | _PATTERNS,
    "gpt_neo": _PATTERNS,
    "opt": _PATTERNS,
    "bloom": _CIRCUITS | _SCORES | {"promoted_tokens"},
    "falcon": _POSITIONS,
    "falcon-alibi": _POSITIONS | _SCORES,
    "phi": _POSITIONS,
    "phi3": _POSITIONS,
    "olmo2": _CIRCUITS | _SCORES | {"edge_attribution", "promoted_tokens"},
    "stablelm": _POSITIONS,
    "granite": _POSITIONS,
}


def _split_error(split):
    return max(abs(float(side.sum()) - split.score) for side in (split.query_side, split.key_side))


def _pair(model):
    clean, other = (analysis.tokenize(model, f"the {pet} sat") for pet in ("cat", "dog"))
    return analysis.prompt_pair(model, clean, other, 5, 9)


@pytest.mark.parametrize("name", OTHERS)
def test_every_quantity_is_right_or_refused(load, name):
    """Where only transformers knows the way from queries to scores, a KeyError was shown."""
    model = load(name)
    tokens = repeated_tokens(model, length=6, batch=2)
    refused = set()
    for quantity, call in {**ERRORS, **ANSWERS}.items():
        try:
            found = call(model, tokens)
        except AnalysisError as error:
            assert str(error).endswith("."), quantity
            refused.add(quantity)
        else:
            assert quantity in ANSWERS or found < 1e-4, quantity
    assert refused == REFUSED[name]


SWITCHES = {
    "unscaled": ({**GPT2, "scale_attn_weights": False}, "attention of layer . differs by 0"),
    "gemma3-capped": (
        {**GEMMA3, "attn_logit_softcapping": 2.0},
        "attention of layer . differs by 0",
    ),
    "no-bias": ({**NEOX, "attention_bias": False}, "no bridge that takes in no-bias"),
    "falcon-new": (
        {
            **{k: v for k, v in OTHERS["falcon"].items() if k not in ("multi_query",)},
            "new_decoder_architecture": True,
            "num_kv_heads": 2,
        },
        "falcon-new",
    ),
    "both-ways": ({**LLAMA, "model_type": "bert-generation"}, "attend to later ones"),
    "no-attention": (
        {"model_type": "mamba", "vocab_size": made.V, "hidden_size": 32, "num_hidden_layers": 2},
        "number of heads",
    ),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_what_would_be_wrong_is_refused_with_the_layer_and_the_difference(
    tmp_path, monkeypatch, name
):
    """A switch that TransformerLens does not read (transformers 44380)."""
    settings, said = SWITCHES[name]
    save(tmp_path, name, settings)
    monkeypatch.setenv("HEADSCOPE_MODELS", str(tmp_path))
    with pytest.raises(AnalysisError, match=said) as raised:
        load_model(name)
    assert str(raised.value).endswith("Choose another model.") or "Copy" in str(raised.value)


def test_an_unknown_architecture_is_refused_in_a_sentence(tmp_path, monkeypatch):
    edit(save(tmp_path, "new", LLAMA), model_type="not_yet_thought_of")
    monkeypatch.setenv("HEADSCOPE_MODELS", str(tmp_path))
    with pytest.raises(AnalysisError, match="transformers (cannot|makes no)"):
        load_model("new")


def test_scaling_by_layer_is_run_and_agrees(tmp_path, monkeypatch):
    """The third layer's scale is a third (TransformerLens PR 27)."""
    save(tmp_path, "inverse", {**GPT2, "scale_attn_by_inverse_layer_idx": True})
    monkeypatch.setenv("HEADSCOPE_MODELS", str(tmp_path))
    model = load_model("inverse")
    assert model.checked < 1e-5
    assert [model.attention_scale(i) for i in range(3)] == pytest.approx(
        [8**-0.5 / (i + 1) for i in range(3)]
    )


def test_traits_are_facts_of_a_model_and_not_of_its_name(load):
    """Two Falcons differ by one line of their config.json."""
    one, other = load("falcon").info, load("falcon-alibi").info
    assert one.kind == other.kind and one.positions != other.positions
    assert dataclasses.asdict(one.traits)["heads_write"]


def test_a_model_of_our_own_format_has_nothing_to_be_checked_against():
    assert load_model("attn-only-2l").checked is None


# Where the queries, keys and values of these stand in transformers.
_ATTENTION = {"gptj": "attn", "gpt_neo": "attn.attention", "opt": "self_attn"}


@pytest.mark.parametrize("name", _ATTENTION)
@pytest.mark.parametrize("kind", ["q", "k", "v"])
def test_a_patch_where_patterns_cannot_be_edited_is_that_of_transformers(root, load, name, kind):
    """Whether an edit reaches what follows is another question for each activation."""
    model = load(name)
    pair = _pair(model)
    if analysis.activation_patching(model, pair, "z", cells=[]).clean < 0:
        pair = analysis.prompt_pair(model, pair.corrupt, pair.clean, pair.answer, pair.foil)
    found = analysis.activation_patching(model, pair, kind)
    inner = made.transformers_itself(root / name)
    blocks = inner.model.decoder.layers if name == "opt" else inner.transformer.h
    width = model.info.d_head

    def difference(tokens):
        with torch.no_grad():
            logits = inner(tokens.tensor).logits[0, -1]
        return float(logits[pair.answer] - logits[pair.foil])

    corrupt, seen = difference(pair.corrupt), []
    for layer in range(model.info.n_layers):
        module = blocks[layer].get_submodule(f"{_ATTENTION[name]}.{kind}_proj")
        handle = module.register_forward_hook(lambda module, given, left: seen.append(left.clone()))
        difference(pair.clean)
        handle.remove()
        for head in range(model.info.n_heads):
            place = slice(head * width, (head + 1) * width)

            def change(module, given, left, place=place):
                left[..., place] = seen[-1][..., place]
                return left

            handle = module.register_forward_hook(change)
            effect = difference(pair.corrupt) - corrupt
            handle.remove()
            assert found.effects[layer, head] == pytest.approx(effect, abs=1e-5)
    assert np.abs(found.effects).max() > 1e-4
