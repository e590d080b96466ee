"""Code for models of other architectures: a user's own folders, in Hugging Face's format."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis import definitions as d
from analysis.errors import AnalysisError
from analysis.models import catalog
from analysis.models.catalog import BUNDLED
from analysis.models.convert import convert_state_dict
from analysis.models.loading import HeadModel
from app.frame.snippets import snippet
from app.links.selection import Selection
from app.links.subject import Subject
from tests import quantities
from tests.conftest import make_model, state_dict
from tests.model_folders import GEMMA3, GPT2, LLAMA, NEOX, ODD, OTHERS, save
from tests.quantities import CODED, KEPT, PROMPT, expected, run, shown, view

_GEMMA2 = {
    **{key: value for key, value in GEMMA3.items() if key != "model_type"},
    "model_type": "gemma2",
    "sliding_window": 64,
    "query_pre_attn_scalar": 11,
    "final_logit_softcapping": 3.0,
    "attn_logit_softcapping": 2.0,
}
MODELS = {
    "own-gpt2": {**GPT2, "scale_attn_by_inverse_layer_idx": True},
    "llama": LLAMA,
    "neox": NEOX,
    "gemma2": _GEMMA2,
    "gemma3": GEMMA3,
    "qwen3": {**LLAMA, "model_type": "qwen3", "head_dim": 8},
    "gpt_neo": OTHERS["gpt_neo"],
    "bloom": OTHERS["bloom"],
    "granite": OTHERS["granite"],
    "cohere": ODD["cohere"],
}
# The course's, in the form that our own converter gives it.
TOY = "attn-only-2L-half"


@pytest.fixture(scope="module", params=[*MODELS, TOY])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HeadModel]:
    root = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSCOPE_MODELS", str(root))
        patch.setenv("HEADSCOPE_CACHE", str(tmp_path_factory.mktemp("store")))
        if request.param in MODELS:
            save(root, request.param, MODELS[request.param])
        else:
            weights = state_dict(make_model(positions="shortformer"))
            convert_state_dict(request.param, weights, BUNDLED / "attn-only-2l" / "tokenizer.json")
        catalog.refresh()
        yield quantities.loaded(request.param)
    quantities.loaded.cache_clear()
    catalog.refresh()


@pytest.mark.parametrize("source", ["repeated", "prompt"])
def test_every_quantity_has_code_that_gives_its_numbers_or_is_refused(
    model: HeadModel, source: str
) -> None:
    """Of all that are registered, so that none is forgotten; together, as loading takes longest."""
    tokens = (
        analysis.repeated_tokens(model, 8, 3)
        if source == "repeated"
        else analysis.tokenize(model, PROMPT)
    )
    wrong, without, coded = [], [], 0
    for definition in CODED:
        if (source == "prompt" and "repeated" in definition.needs) or "history" in definition.needs:
            continue  # only bundled models have a history
        needs_two = {"pair", "recipe", "answered"} & set(definition.needs)
        pair = {"answer": " house", "foil": " mat"} if needs_two else {}
        selection = _view(model, source, **pair)
        found = run(definition, selection)
        try:
            wanted = np.asarray(expected(definition, model, tokens, selection))
        except AnalysisError:  # a page refuses likewise, and shows no figure
            continue
        if found is None:
            if not np.isnan(wanted).all():  # what a page leaves out, and says why
                without.append(definition.name)
            continue
        coded += 1
        found = shown(definition, found)
        same = found.shape == wanted.shape
        if not same or not np.allclose(found, wanted, rtol=5e-4, atol=5e-5, equal_nan=True):
            wrong.append(definition.name)
    assert (wrong, without) == ([], [])
    assert coded > 30


def test_the_first_line_says_what_to_have_at_hand(model: HeadModel) -> None:
    code = snippet([d.LOSS], Subject(_view(model, "prompt")))
    assert code
    first, second = code.splitlines()[:2]
    assert first.startswith(f"# Needs the folder {model.name} with the model's files")
    assert "Headscope" in second if model.name == TOY else second.startswith("FOLDER = ")


def test_a_checkpoint_in_hugging_faces_format_has_no_code(model: HeadModel) -> None:
    """It would load the finished model, and give that one's numbers."""
    selection = _view(model, "prompt")
    checkpoint = replace(selection, info=replace(selection.info, step=512))
    code = snippet([d.LOSS], Subject(checkpoint))
    assert (code is None) == (model.name != TOY)


def test_without_the_folder_the_code_says_where_to_put_it(
    model: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks no hub for a name that it does not know: that took 40 seconds of retries."""
    code = snippet([d.LOSS], Subject(_view(model, "prompt")))
    assert code
    for name in ("HEADSCOPE_MODELS", "HEADSCOPE_CACHE", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=f"Put the folder {model.name}"):
        exec(compile(code, "snippet", "exec"), {})


def _view(model: HeadModel, source: str, **pair: str) -> Selection:
    return view(
        model=model.name,
        input=source,
        method="mean",
        keep=KEPT,
        sequence=1,
        offsets="7,0",
        clean="The cat sat on the mat.",
        corrupt="The dog sat on the log.",
        **pair,
    )
