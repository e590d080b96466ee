"""What the table of an architecture says is what its numbers and its analysis functions say."""

import json
from dataclasses import replace

import pytest
import torch

from analysis.circuits.composition import composition_scores
from analysis.circuits.copying import k_composition_circuit, ov_copying
from analysis.circuits.ov_qk import previous_token_circuit, qk_preferences
from analysis.circuits.spectra import ov_eigenvalues
from analysis.effects.edges import edge_attribution
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.heads.scores import head_scores
from analysis.logits.decomposition import k_composition, score_split
from analysis.logits.lens import logit_lens
from analysis.logits.sources import source_attribution
from analysis.logits.weighted import weighted_patterns
from analysis.models.capabilities import allowances
from analysis.models.config import read_info
from analysis.models.reasons import FROZEN_AFTER_HEADS, TURNED_OUT, scale_note
from analysis.neurons import neuron_activations
from analysis.runs.forward import run
from analysis.runs.inputs import repeated_tokens
from analysis.runs.predictions import next_token_stats
from analysis.runs.writes import bias_write, output_weights, write_points, written_z
from tests.architectures import FAMILIES, tiny

TRIED = {
    "Patterns, head scores": [lambda model, tokens: head_scores(model, tokens)],
    "Loss": [lambda model, tokens: next_token_stats(model, tokens)],
    "Logit lens": [lambda model, tokens: logit_lens(model, tokens)],
    "Neurons": [lambda model, tokens: neuron_activations(model, tokens, 0)],
    "Value-weighted patterns": [lambda model, tokens: weighted_patterns(model, tokens, "value")],
    "Attribution to a logit, by head and source": [
        lambda model, tokens: weighted_patterns(model, tokens, "answer"),
        lambda model, tokens: source_attribution(model, tokens, Head(1, 3)),
    ],
    "Paths between heads, circuits of a prediction": [edge_attribution],
    "OV circuits": [
        lambda model, tokens: ov_copying(model, Head(1, 3)),
        lambda model, tokens: ov_eigenvalues(model),
    ],
    "V-composition": [lambda model, tokens: composition_scores(model, "V")],
    "Q- and K-composition": [
        lambda model, tokens: composition_scores(model, "Q"),
        lambda model, tokens: k_composition_circuit(model, Head(0, 0), Head(1, 3)),
    ],
    "QK by token or position": [
        lambda model, tokens: qk_preferences(model, Head(1, 3), 5),
        lambda model, tokens: previous_token_circuit(model, 1, 3),
    ],
    "Scores by component": [
        lambda model, tokens: k_composition(model, tokens, 1, 3),
        lambda model, tokens: score_split(model, tokens, Head(1, 3), 4, 2),
    ],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_analysis_does_what_the_table_says(family: str) -> None:
    """A yes that refuses, or a no that answers with a wrong number."""
    model = tiny(family)
    tokens = repeated_tokens(model, length=3, batch=2)
    rows = {row.analysis: row for row in allowances(model.info)}
    assert set(TRIED) <= set(rows)
    for analysis, calls in TRIED.items():
        reason = rows[analysis].reason
        for call in calls:
            if reason:
                with pytest.raises(AnalysisError) as refused:
                    call(model, tokens)
                assert str(refused.value).split(",")[0] == reason.split(",")[0]
            else:
                call(model, tokens)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_writes_of_heads_sum_to_what_a_layer_adds_to_the_stream(family: str) -> None:
    """A norm after the heads, of an architecture that is new here, would show in this."""
    model = tiny(family)
    tokens = repeated_tokens(model, length=3, batch=2)
    points = write_points(model, [1])
    assert len(points) == (2 if family in ("gemma2", "gemma3") else 1)
    _, kept = run(model, tokens.tensor, capture=["blocks.1.hook_attn_out", *points])
    written = torch.einsum("bphe,hem->bpm", written_z(kept, 1), output_weights(model, 1))
    if (bias := bias_write(model, kept, 1)) is not None:
        written = written + bias
    torch.testing.assert_close(written, kept["blocks.1.hook_attn_out"], atol=1e-5, rtol=0)


def test_the_note_on_frozen_scales_names_the_models_own_norms() -> None:
    assert "a LayerNorm before the unembedding" in scale_note(tiny("gpt2").info)
    assert "an RMS norm before the unembedding" in scale_note(tiny("llama").info)
    assert "LayerNorm" not in scale_note(tiny("gemma2").info)
    assert FROZEN_AFTER_HEADS in scale_note(tiny("gemma2").info)
    assert scale_note(tiny("native").info) == ""


def test_what_to_know_is_said_where_it_holds() -> None:
    notes = {row.analysis: row.note for row in allowances(tiny("llama").info)}
    assert notes["Q- and K-composition"] == TURNED_OUT
    assert notes["Ablation, patching of activations"] == "2 heads share each key and value."
    assert TURNED_OUT in composition_scores(tiny("llama"), "K").assumes
    assert TURNED_OUT not in composition_scores(tiny("llama"), "V").assumes
    assert not any(row.note for row in allowances(tiny("native").info))
    bos = allowances(replace(tiny("qwen2").info, has_bos=False))[0]
    assert "no BOS token" in bos.reason


@pytest.mark.parametrize(
    ("kind", "given", "n_ctx", "window"),
    [
        ("gemma3_text", {"sliding_window": 128}, 128, 128),
        ("gemma2", {"sliding_window": 4096}, 1024, 4096),
        ("qwen2", {"sliding_window": 128, "use_sliding_window": False}, 1024, 0),
        ("qwen2", {"sliding_window": 128, "use_sliding_window": True}, 128, 128),
        ("llama", {}, 1024, 0),
        ("mistral", {"sliding_window": 128}, 128, 128),
        ("gpt_neo", {"window_size": 64, "attention_layers": ["global", "local"]}, 64, 64),
    ],
)
def test_a_model_takes_no_more_tokens_than_a_sliding_window(
    tmp_path, kind: str, given: dict, n_ctx: int, window: int
) -> None:
    """Beyond it a head cannot see the earlier copy, and chance levels would be wrong."""
    config = {
        "model_type": kind,
        "vocab_size": 64,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 1024,
        **given,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"0" * 64)
    info = read_info(tmp_path)
    assert (info.n_ctx, info.window) == (n_ctx, window)
    notes = [row.note for row in allowances(info) if row.analysis.startswith("Patterns")]
    assert (f"only the last {window}" in notes[0]) == (window == n_ctx)
