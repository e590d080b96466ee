"""A model that is in memory: offered by its name, with its own weights, and left as it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

import analysis
from analysis.errors import AnalysisError
from analysis.models.catalog import list_models
from analysis.models.files import fingerprint
from analysis.models.in_memory import offered
from tests import encoders
from tests.model_folders import GPT2, save

TEXT = "The cat sat on the mat."


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A tiny GPT-2 of transformers, as a person has one, and its tokenizer."""
    folder = save(tmp_path_factory.mktemp("models"), "gpt2", GPT2)
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def expected(model: Any, ids: np.ndarray) -> np.ndarray:
    """Patterns [layer, head, dest, src] as transformers has them."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        found = model(torch.tensor(ids), output_attentions=True).attentions
    model.set_attn_implementation("sdpa")
    return torch.cat(found).numpy()


def test_its_own_weights_are_run_as_they_are_at_the_time(given: tuple[Any, Any]) -> None:
    model, tokenizer = given
    before = {name: type(each) for name, each in model.named_modules()}
    with offered(model, tokenizer, "mine") as held:
        assert list_models()[0].name == "mine"
        loaded = analysis.load_model("mine")
        assert loaded is held  # and with it the lock
        tokens = analysis.tokenize(loaded, TEXT)
        patterns = analysis.attention_patterns(loaded, tokens).values[0]
        assert np.abs(patterns - expected(model, tokens.ids)).max() < 1e-5
        mark, one = fingerprint(loaded.info), model.transformer.h[0].attn.c_attn.weight
        with torch.no_grad():
            one.mul_(-1.5)
        assert fingerprint(loaded.info) != mark
        changed = analysis.attention_patterns(loaded, tokens).values[0]
        assert np.abs(changed - patterns).max() > 0.01
        assert np.abs(changed - expected(model, tokens.ids)).max() < 1e-5
    assert "mine" not in {info.name for info in list_models()}
    assert {name: type(each) for name, each in model.named_modules()} == before
    assert all(weight.requires_grad for weight in model.parameters())


def test_hooks_of_an_analysis_do_not_reach_the_model_that_was_given(
    given: tuple[Any, Any],
) -> None:
    """Its owner may be running it in a cell meanwhile."""
    model, tokenizer = given
    heard: list[float] = []
    with offered(model, tokenizer, "mine") as held:
        ids = torch.tensor([[1, 2, 3]])
        with torch.no_grad():
            clean = model(ids).logits

            def run_the_other(value: torch.Tensor, hook: Any) -> torch.Tensor:
                heard.append(float((model(ids).logits - clean).abs().max()))
                return value * 0

            hooks = [("blocks.0.attn.hook_z", run_the_other)]
            without = held.bridge.run_with_hooks(ids, return_type="logits", fwd_hooks=hooks)
    assert heard == [0]
    assert float((without - clean).abs().max()) > 0.01


def test_a_bridge_is_offered_as_its_model_is(given: tuple[Any, Any], tmp_path: Path) -> None:
    folder = save(tmp_path, "gpt2", GPT2)
    own = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    bridge = TransformerBridge.boot_transformers(
        "gpt2", hf_model=own, tokenizer=given[1], device="cpu"
    )
    hooked: list[str] = []
    bridge.add_hook("blocks.0.attn.hook_z", lambda value, hook: hooked.append("theirs"))
    with offered(bridge, None, "bridged") as held:
        bridge.reset_hooks()
        same = AutoModelForCausalLM.from_pretrained(folder)
        tokens = analysis.tokenize(held, TEXT)
        patterns = analysis.attention_patterns(held, tokens).values[0]
        assert np.abs(patterns - expected(same, tokens.ids)).max() < 1e-5
    bridge.enable_compatibility_mode()
    with pytest.raises(AnalysisError, match="boot_transformers alone"), offered(bridge, None, "b"):
        pass


@pytest.mark.parametrize(
    ("settings", "auto"),
    [
        (encoders.BERT, AutoModelForMaskedLM),
        (encoders.BERT, AutoModel),
        (encoders.ROBERTA, AutoModelForMaskedLM),
        (encoders.ROBERTA, AutoModelForSequenceClassification),
    ],
)
def test_an_encoder_is_offered_with_its_own_head_or_none(
    tmp_path: Path, settings: dict[str, Any], auto: Any
) -> None:
    folder = encoders.save(tmp_path, "encoder", settings)
    own, words = auto.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    before = {name: type(each) for name, each in own.named_modules()}
    with offered(own, words, "mine") as held:
        assert held.info.bidirectional
        assert held.info.has_mlm_head == (auto is AutoModelForMaskedLM)
        tokens = analysis.tokenize(held, f"the cat [MASK] on the mat .\n---\n{encoders.TEXT}")
        with torch.no_grad():
            own.base_model.encoder.layer[0].attention.self.query.weight.mul_(-1.5)
            own.set_attn_implementation("eager")
            theirs = own(
                tokens.tensor, token_type_ids=tokens.segment_tensor, output_attentions=True
            )
        found = analysis.attention_patterns(held, tokens).values[0]
        np.testing.assert_allclose(found, torch.cat(theirs.attentions), atol=1e-5)
        if held.info.has_mlm_head:
            guessed = analysis.masked_loss(held, tokens)
            entry = guessed.positions.index(3)  # it is masked there as it stands
            expected = theirs.logits[0, 3].softmax(-1).topk(10)
            np.testing.assert_allclose(guessed.top_probs[entry], expected.values, atol=1e-5)
    assert {name: type(each) for name, each in own.named_modules()} == before


def test_the_bridge_of_an_encoder_is_refused(tmp_path: Path) -> None:
    folder = encoders.save(tmp_path, "encoder", encoders.BERT)
    own, words = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    bridge = TransformerBridge.boot_transformers("bert", hf_model=own, tokenizer=words)
    with pytest.raises(AnalysisError, match="bridge of an encoder"), offered(bridge, None, "mine"):
        pass


def _other(kind: str, auto: Any, **sizes: Any) -> Any:
    return auto.from_config(AutoConfig.for_model(kind, vocab_size=420, **sizes))


REFUSED = {
    "no model": (lambda model: object(), "mine", "TransformerBridge"),
    "half": (lambda model: _other("gpt2", AutoModelForCausalLM, n_embd=8, n_layer=1, n_head=2)
             .to(torch.bfloat16), "mine", r"bfloat16.*model\.float\(\)"),
    "encoder without a bridge": (lambda model: _other("camembert", AutoModel, hidden_size=8,
                num_hidden_layers=1, num_attention_heads=2, intermediate_size=8),
                "mine", "TransformerLens has no bridge"),
    "an encoder of another kind": (lambda model: _other("distilbert", AutoModel, dim=8,
                n_layers=1, n_heads=2, hidden_dim=8), "mine", "kind distilbert"),
    "both": (lambda model: _other("t5", AutoModelForSeq2SeqLM, d_model=8, num_layers=1,
             num_heads=2, d_kv=4, d_ff=8), "mine", "an encoder and a decoder"),
    "a taken name": (lambda model: model, "attn-only-2l", "already"),
    "no name": (lambda model: model, "a/b c", "no name for a model"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "name", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_opened_is_refused_in_a_sentence(
    given: tuple[Any, Any], made: Any, name: str, said: str
) -> None:
    before = list_models()
    with pytest.raises(AnalysisError, match=said), offered(made(given[0]), given[1], name):
        pass
    assert list_models() == before


def test_a_model_without_its_tokenizer_is_refused(given: tuple[Any, Any]) -> None:
    with pytest.raises(AnalysisError, match="tokenizer too"), offered(given[0], None, "mine"):
        pass
