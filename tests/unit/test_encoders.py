"""Encoders in a folder: taken in, run right, and refused where nothing is defined for them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

import analysis
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models import catalog
from analysis.models.capabilities import allowances
from analysis.models.check import TOLERANCE
from analysis.models.loading import HeadModel, load_model
from tests.encoders import BERT, ELECTRA, PAIR, ROBERTA, TEXT, save, transformers_itself
from tests.model_folders import edit, listed

KINDS = {"bert": (BERT, True), "bare": (BERT, False), "roberta": (ROBERTA, True)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("encoders")
    for name, (settings, head) in KINDS.items():
        save(root, name, settings, head)
    save(root, "electra", ELECTRA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSCOPE_MODELS", str(root))
        catalog.refresh()
        yield root
    catalog.refresh()


@pytest.fixture(scope="module", params=KINDS)
def model(root: Path, request: pytest.FixtureRequest) -> HeadModel:
    return load_model(request.param)


def expected(model: HeadModel, text: str = PAIR) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """What transformers makes of a text by itself: its input, and [layer, head, dest, src]."""
    folder = model.info.folder
    words = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    given = words(*text.split("\n---\n"), return_tensors="pt")
    if model.info.kind == "roberta":
        given.pop("token_type_ids")
    with torch.no_grad():
        inner = transformers_itself(folder, KINDS[model.name][1])
        return dict(given), torch.cat(inner(**given, output_attentions=True).attentions)


def test_a_pair_is_run_as_transformers_runs_it(model: HeadModel) -> None:
    tokens = analysis.tokenize(model, PAIR)
    given, patterns = expected(model)
    assert tokens.ids.tolist() == given["input_ids"].tolist()
    found = analysis.attention_patterns(model, tokens).values[0]
    assert patterns.triu(1).max() > 0.1
    np.testing.assert_allclose(found, patterns, atol=1e-5)
    assert tokens.labels[0][0] == "[CLS]" and [tokens.labels[0][i] for i in tokens.frames] == [
        *("[CLS]", "[SEP]", "[SEP]")
    ]
    if model.info.kind == "bert":
        assert list(tokens.segments) == given["token_type_ids"][0].tolist()
        assert set(tokens.segments) == {0, 1}


def test_what_it_was_found_to_be_is_said(model: HeadModel) -> None:
    info = model.info
    assert info.bidirectional and not info.has_bos
    assert info.has_mlm_head == KINDS[info.name][1]
    assert info.n_ctx == 32  # RoBERTa's first position is that of padding
    assert model.checked is not None and model.checked < TOLERANCE
    assert listed(info.name).bidirectional
    reasons = {row.analysis: row.reason for row in allowances(info)}
    assert reasons.pop("Patterns, head scores") == ""
    assert all(f"{info.name} is an encoder" in reason for reason in reasons.values())


def test_a_head_that_is_taken_out_changes_later_patterns_as_in_transformers(
    model: HeadModel,
) -> None:
    inner = transformers_itself(model.info.folder, KINDS[model.name][1])
    given, clean = expected(model)

    def silence(module: object, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        (z, *rest) = inputs
        z = z.clone()
        z[..., 4:8] = 0  # head 1, of width 4
        return (z, *rest)

    place = inner.base_model.encoder.layer[0].attention.output.dense
    place.register_forward_pre_hook(silence)
    with torch.no_grad():
        patterns = torch.cat(inner(**given, output_attentions=True).attentions)
    assert (patterns - clean)[1].abs().max() > 1e-3
    tokens = analysis.tokenize(model, PAIR)
    found = analysis.attention_patterns(model, tokens, without=[Head(0, 1)]).values[0]
    np.testing.assert_allclose(found, patterns, atol=1e-5)


def test_scores_are_those_of_its_patterns(model: HeadModel) -> None:
    tokens = analysis.tokenize(model, TEXT)
    found = analysis.scores_of_encoder(model, tokens)
    _, patterns = expected(model, TEXT)
    after = patterns.diagonal(1, -2, -1).mean(-1)
    np.testing.assert_allclose(found.values["next"], after, atol=1e-5)
    assert found.chance["next"] == pytest.approx(1 / tokens.length)
    # [CLS] the cat sat on the mat . [SEP]: both "the" look at the other one.
    copies = (patterns[..., 1, 5] + patterns[..., 5, 1]) / 2
    np.testing.assert_allclose(found.values["copies"], copies, atol=1e-5)


def test_what_is_about_the_next_token_is_refused_with_the_reason(model: HeadModel) -> None:
    tokens = analysis.tokenize(model, TEXT)
    for refused in (
        lambda: analysis.repeated_tokens(model, 4),
        lambda: analysis.head_scores(model, tokens),
        lambda: analysis.next_token_stats(model, tokens),
        lambda: analysis.logit_attribution(model, tokens),
        lambda: analysis.logit_lens(model, tokens),
        lambda: analysis.ov_copying(model, [Head(0, 0)]),
        lambda: analysis.composition_scores(model, "V"),
        lambda: analysis.neuron_activations(model, tokens, 0),
        lambda: analysis.ablation_sweep(model, tokens),
    ):
        with pytest.raises(AnalysisError, match=r"encoder.*Choose another model"):
            refused()


def test_three_texts_are_refused(model: HeadModel) -> None:
    with pytest.raises(AnalysisError, match="takes one text or two"):
        analysis.tokenize(model, "the\n---\ncat\n---\nsat")
    with pytest.raises(AnalysisError, match="none may be empty"):
        analysis.tokenize(model, "the cat\n---\n ")


def test_an_encoder_without_a_bridge_or_with_other_weights_is_refused(root: Path) -> None:
    with pytest.raises(AnalysisError, match="no bridge that takes in electra"):
        load_model("electra")
    folder = save(root, "cut", BERT)
    edit(folder, num_hidden_layers=3)
    catalog.refresh()
    with pytest.raises(AnalysisError, match=r"describes .* numbers; its weights hold"):
        load_model("cut")
