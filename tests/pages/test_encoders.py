"""Every page with an encoder: it is drawn, or says in a sentence what it needs instead."""

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch

import analysis
from analysis.definitions import ENCODER_SCORES, MASKED_ABLATION, MASKED_LOSS, PATTERN
from analysis.head import Head
from analysis.models import catalog
from analysis.models.catalog import find_model
from analysis.models.loading import load_model
from app.frame.snippets import snippet
from app.links.pages import PAGES
from app.links.parameters import PARAMETERS
from app.links.selection import Selection
from app.links.subject import Subject
from tests.encoders import BERT, PAIR, TEXT, save
from tests.pages.test_pages import Open, expect_well, open_at, said

__all__ = ["open_at"]

# Those that have a picker for another model.
REFUSED = [page.name for page in PAGES if not page.encoders and page.asks != "nothing"]
LOOKING = ("attention", "finder", "head", "tokens", "ablation")
DRAWN = [page.name for page in PAGES if page.name not in REFUSED]


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("encoders")
    save(folder, "bert", BERT)
    save(folder, "bare", BERT, head=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSCOPE_MODELS", str(folder))
        catalog.refresh()
        yield folder
    catalog.refresh()


@pytest.mark.parametrize("name", REFUSED)
def test_a_page_about_next_tokens_says_what_it_needs(open_at: Open, name: str) -> None:
    app = open_at(name, model="bert", prompt=TEXT)
    expect_well(app)
    (sentence,) = (each.value for each in app.info)
    assert "bert is an encoder" in sentence and "Choose another model" in sentence
    assert not app.main.subheader
    assert app.selectbox(key="view.model").value == "bert"


@pytest.mark.parametrize(
    ("name", "text"),
    [*((name, TEXT) for name in DRAWN), *((n, t) for n in LOOKING for t in (PAIR, "dog"))],
)
def test_a_page_that_takes_encoders_is_drawn(open_at: Open, name: str, text: str) -> None:
    app = open_at(name, model="bert", prompt=text)
    expect_well(app)
    if name == "learn":
        assert any("bert is an encoder" in sentence for sentence in said(app))
    else:
        assert said(app) == []


@pytest.mark.parametrize("name", ["attention", "finder", "head"])
def test_an_encoder_has_scores_of_its_own(open_at: Open, name: str) -> None:
    app = open_at(name, model="bert", prompt=TEXT, weighting="value", input="repeated")
    expect_well(app)
    shown = " ".join([*(each.value for each in app.markdown), *map(str, app.dataframe)])
    shown += " ".join(table.value.to_string() for table in app.main.dataframe)
    for score in ("Previous", "Next", "Separator"):
        assert score in shown, score
    assert "Induction" not in shown


@pytest.mark.parametrize("name", ["tokens", "ablation"])
def test_an_encoder_without_a_head_for_masked_tokens_has_no_loss(open_at: Open, name: str) -> None:
    app = open_at(name, model="bare", prompt=TEXT)
    expect_well(app)
    (sentence,) = said(app)
    assert "bare is an encoder without a head that predicts masked tokens" in sentence


def test_masked_tokens_are_guessed_and_heads_ablated_on_them(open_at: Open) -> None:
    app = open_at("tokens", model="bert", prompt="the cat [MASK] on the mat .")
    expect_well(app)
    (table,) = (each.value for each in app.main.dataframe)
    assert table["Token"].tolist() == ["the", "cat", "[MASK]", "on", "the", "mat", "."]
    assert table["Log-probability (nats)"].isna().tolist() == [i == 2 for i in range(7)]
    effects = {}
    for method in ("zero", "mean"):
        app = open_at("ablation", model="bert", prompt=PAIR, method=method)
        expect_well(app)
        effects[method] = next(
            each.value for each in app.main.dataframe if "Loss increase" in each.value
        )
    assert len(effects["zero"]) == 8
    assert effects["zero"]["Loss increase"].tolist() != effects["mean"]["Loss increase"].tolist()


@pytest.mark.parametrize("text", [TEXT, PAIR])
def test_code_of_an_encoder_gives_its_numbers(models: Path, text: str) -> None:
    chosen = {parameter.key: parameter.default for parameter in PARAMETERS}
    values = {**chosen, "model": "bert", "prompt": text, "input": "prompt"}
    selection = Selection("attention", MappingProxyType(values), find_model("bert"))
    model = load_model("bert")
    tokens = analysis.tokenize(model, text)
    scores = analysis.scores_of_encoder(model, tokens).values
    wanted = [scores[name] for name in ENCODER_SCORES]
    wanted.append(analysis.attention_patterns(model, tokens).values[0])
    wanted.append(analysis.masked_loss(model, tokens).log_probs)
    code = snippet([*ENCODER_SCORES.values(), PATTERN, MASKED_LOSS], Subject(selection))
    assert code
    found: list[np.ndarray] = []
    exec(code, {"print": lambda result: found.append(result.numpy().copy())})
    torch.set_grad_enabled(True)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    code = snippet([ENCODER_SCORES["next"]], Subject(selection, head=Head(1, 2)))
    assert code and "result[LAYER, HEAD]" in code
    assert snippet([MASKED_ABLATION], Subject(selection)) is None
