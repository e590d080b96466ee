"""Models with a step that few have: their numbers are transformers' own, or a sentence says why."""

import numpy as np
import pytest
import torch

import analysis
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.capabilities import allowances
from analysis.models.loading import load_model
from analysis.runs.inputs import as_tokens, repeated_tokens
from tests.model_folders import LLAMA, ODD, OTHERS, V, offered, save, transformers_itself

HEAD = Head(2, 1)
# Beside scores that depend on the distance, what each was found not to have.
WITHOUT = {
    "cohere": set(),
    "glm": set(),
    "hunyuan": {"Q- and K-composition"},
    "smollm3": set(),
    "olmo": set(),
    "olmo-clipped": {"Q- and K-composition", "Scores by component", "Value-weighted patterns"},
    "mpt": {"Scores by component"},
    "longrope": set(),
    "yarn": set(),
    "gpt_oss": {"Q- and K-composition", "Scores by component", "Neurons"},
    "bitnet": {"Value-weighted patterns"},
    "granite": set(),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd")
    for name, settings in {**ODD, "granite": OTHERS["granite"]}.items():
        save(root, name, settings)
    with offered(root):
        yield root


@pytest.fixture(scope="module")
def both(root):
    """A model of ours, transformers' own, tokens, and what that gives of them; each once."""
    made = {}

    def both(name):
        if name not in made:
            model, inner = load_model(name), transformers_itself(root / name)
            tokens = repeated_tokens(model, length=12, batch=2)
            with torch.no_grad():
                given = inner(tokens.tensor, output_attentions=True)
            made[name] = model, inner, tokens, given
        return made[name]

    return both


@pytest.mark.parametrize("name", WITHOUT)
def test_patterns_are_those_of_transformers_also_by_hand(both, name):
    """Neighbours turned together, norms after the turn, layers without one: .9 was off."""
    model, _, tokens, given = both(name)
    for layer, right in enumerate(given.attentions):
        found = analysis.attention_patterns(model, tokens, [layer]).values[:, 0]
        np.testing.assert_allclose(found, right, atol=1e-5)
        if "Scores by component" not in WITHOUT[name]:
            by_hand = analysis.verify_pattern(model, tokens, layer).computed
            np.testing.assert_allclose(by_hand, right, atol=1e-5)


@pytest.mark.parametrize("name", WITHOUT)
def test_parts_of_a_score_sum_to_what_transformers_attends_by(both, name):
    model, _, tokens, given = both(name)
    pattern = given.attentions[HEAD.layer][0, HEAD.head]
    if "Scores by component" in WITHOUT[name]:
        with pytest.raises(AnalysisError, match="scores"):
            analysis.score_split(model, tokens, HEAD, 9, 4)
        return
    one, other = (analysis.score_split(model, tokens, HEAD, 9, src) for src in (4, 7))
    right = float((pattern[9, 4] / pattern[9, 7]).log())
    assert one.score - other.score == pytest.approx(right, abs=1e-4)
    assert float(one.pairs.sum()) == pytest.approx(one.score, abs=1e-4)


@pytest.mark.parametrize("name", WITHOUT)
def test_logits_are_sums_of_parts_and_heads_write_what_transformers_adds(both, name):
    """Norms without weight or bias (OLMo, MPT, Cohere), and factors (Granite, Cohere)."""
    model, inner, tokens, given = both(name)
    found = analysis.logit_attribution(model, tokens)
    right = given.logits[:, :-1].gather(-1, tokens.tensor[:, 1:, None])[..., 0]
    np.testing.assert_allclose(found.values.sum(-1) + found.unembed_bias, right, atol=2e-4)
    lens = analysis.logit_lens(model, tokens)
    log_probs = given.logits[:, :-1].log_softmax(-1).gather(-1, tokens.tensor[:, 1:, None])
    np.testing.assert_allclose(lens.log_probs[:, -1], log_probs[..., 0], atol=1e-4)
    np.testing.assert_allclose(
        found.values[..., found.labels.index(HEAD.label)], _written(inner, tokens), atol=1e-4
    )


def _written(inner, tokens):
    """What the head adds to each next token's logit, from transformers' own modules."""
    block = next(m for n, m in inner.named_modules() if n.endswith((".layers.2", ".blocks.2")))
    output = next(m for n, m in block.named_modules() if n.endswith(("o_proj", "out_proj")))
    norm = next(m for n, m in inner.named_modules() if n in ("model.norm", "transformer.norm_f"))
    seen = {}
    for name, module in (("z", output), ("stream", norm)):
        module.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0]}))
    config = inner.config
    own = slice(HEAD.head * 8, (HEAD.head + 1) * 8)
    with torch.no_grad():
        inner(tokens.tensor)
        write = seen["z"][..., own] @ output.weight[:, own].T
        write = write * getattr(config, "residual_multiplier", 1)
        stream = seen["stream"]
        if "RMS" not in type(norm).__name__:
            write, stream = (x - x.mean(-1, keepdim=True) for x in (write, stream))
        # All of these add 1e-6 or 1e-5 to a square near 1.
        write = write / (stream.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        weight = getattr(norm, "weight", None)
        write = write if weight is None else write * weight
        logits = inner.get_output_embeddings()(write)[:, :-1].gather(-1, tokens.tensor[:, 1:, None])
    factor = 1 / getattr(config, "logits_scaling", 1) * (getattr(config, "logit_scale", None) or 1)
    return logits[..., 0] * factor


@pytest.mark.parametrize("name", WITHOUT)
def test_what_is_not_defined_is_said_and_no_more(both, name):
    reasons = {each.analysis for each in allowances(both(name)[0].info) if each.reason}
    assert reasons - {"QK by token or position"} == WITHOUT[name]


@pytest.mark.parametrize("name", ["olmo-clipped", "bitnet"])
def test_a_step_between_values_and_z_is_said(both, name):
    """A clip of values, a norm of z: sources summed to something else than the head."""
    model, _, tokens, _ = both(name)
    for ask in (
        lambda: analysis.source_attribution(model, tokens, HEAD),
        lambda: analysis.weighted_patterns(model, tokens, "answer"),
        lambda: analysis.offset_ablation(model, tokens, 1),
    ):
        with pytest.raises(AnalysisError, match="z is not its values averaged by its pattern"):
            ask()


def test_rows_that_leave_part_to_a_sink_are_shown_and_counted(both):
    """GPT-OSS: a ValueError on every page."""
    model, _, tokens, given = both("gpt_oss")
    right = torch.stack(given.attentions, 1)
    assert float(right.sum(-1).min()) < 0.99
    scores = analysis.head_scores(model, tokens)
    np.testing.assert_allclose(scores.previous, right.diagonal(-1, -2, -1).mean((0, -1)), atol=1e-5)
    scan = analysis.corpus_scan(model, "The cat sat on the mat. " * 20, 16)
    assert float(scan.by_distance.sum(-1).max()) <= scan.queries


def test_angles_that_depend_on_the_length_are_those_of_the_whole_text(both):
    """Phi-3's longrope: a run that ended at the destination had other angles."""
    model, _, tokens, given = both("longrope")
    assert tokens.length > 16
    one = as_tokens(model, [tokens.ids[0].tolist()], has_bos=True)
    right = given.attentions[HEAD.layer][0, HEAD.head]
    rows = analysis.pattern_rows(model, one, HEAD, 3, 9).values
    np.testing.assert_allclose(rows, right[3:9], atol=1e-5)
    written = analysis.write_on(
        model, as_tokens(model, [one.ids[0, :15].tolist()], has_bos=True), "", 4
    )
    inner, ids = transformers_itself(model.info.folder), one.tensor[:, :15]
    for _ in range(4):
        with torch.no_grad():
            ids = torch.cat([ids, inner(ids).logits[:, -1:].argmax(-1)], 1)
    assert written.clean.tolist() == ids[0, 15:].tolist()


@pytest.mark.parametrize("name", [*WITHOUT])
def test_every_activation_that_is_listed_can_be_read(both, name):
    """Parallel blocks have no second norm, and neurons of experts are none: KeyErrors."""
    model, _, tokens, _ = both(name)
    for point in analysis.hook_points(model):
        shape = analysis.activation(model, tokens, point.name).values.shape
        assert all(size in (None, there) for size, there in zip(point.shape, shape, strict=True))


REFUSED = {
    "latent": (
        {
            **{k: v for k, v in LLAMA.items() if k != "num_key_value_heads"},
            **{"model_type": "deepseek_v2", "kv_lora_rank": 8, "q_lora_rank": None},
            **{"qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8},
            **{"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
            **{"first_k_dense_replace": 1, "n_group": 1, "topk_group": 1},
        },
        "4 patterns, and z is 8 heads of 4 numbers",
    ),
    "narrow": (
        {
            **{"model_type": "opt", "vocab_size": V, "hidden_size": 32, "num_hidden_layers": 2},
            **{"num_attention_heads": 4, "max_position_embeddings": 64, "ffn_dim": 48},
            **{"word_embed_proj_dim": 16, "do_layer_norm_before": False},
        },
        "TransformerLens makes narrow a model that does not run",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_run_is_a_sentence(tmp_path, monkeypatch, name):
    settings, said = REFUSED[name]
    save(tmp_path, name, settings)
    monkeypatch.setenv("HEADSCOPE_MODELS", str(tmp_path))
    with pytest.raises(AnalysisError, match=said):
        load_model(name)


@pytest.mark.parametrize("name", ["granite", "cohere", "olmo", "mpt"])
def test_an_ov_circuit_goes_through_the_models_own_factors_and_norms(both, name):
    """From a token's row to all logits, by the weights that transformers has."""
    model, inner, _, _ = both(name)
    config, weights = inner.config, inner.state_dict()
    own = slice(HEAD.head * 8, (HEAD.head + 1) * 8)
    if name == "mpt":
        block = "transformer.blocks.2"
        value = weights[f"{block}.attn.Wqkv.weight"][64:][own]
        output, gain = weights[f"{block}.attn.out_proj.weight"], weights[f"{block}.norm_1.weight"]
        end = weights["transformer.norm_f.weight"]
    else:
        block = "model.layers.2"
        # Two heads share their values where there are two for four.
        shared = slice(0, 8) if name != "olmo" else own
        value = weights[f"{block}.self_attn.v_proj.weight"][shared]
        output = weights[f"{block}.self_attn.o_proj.weight"]
        gain = weights.get(f"{block}.input_layernorm.weight", torch.ones(32))
        end = weights.get("model.norm.weight", torch.ones(32))
    row = inner.get_input_embeddings().weight[77] * getattr(config, "embedding_multiplier", 1)
    centred = (lambda x: x) if name == "granite" else (lambda x: x - x.mean())
    written = output[:, own] @ value @ (centred(row) * gain)
    written = centred(written * getattr(config, "residual_multiplier", 1)) * end
    factor = 1 / getattr(config, "logits_scaling", 1) * (getattr(config, "logit_scale", None) or 1)
    right = inner.get_output_embeddings().weight @ written * factor
    found = analysis.ov_top_tokens(model, HEAD, 77, top=5, embedding="raw").raised
    assert found.ids.tolist() == right.topk(5).indices.tolist()
    np.testing.assert_allclose(found.values, right.topk(5).values.detach(), rtol=1e-4)
