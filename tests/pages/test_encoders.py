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
from tests.pages.frames import Frames, frames_of
from tests.pages.test_pages import Open, expect_well, open_at, said, text_of
from tests.snippets import agrees

__all__ = ["frames_of", "open_at"]

# Those that have a picker for another model.
REFUSED = [page.name for page in PAGES if not page.encoders and page.asks != "nothing"]
LOOKING = ("attention", "finder", "head", "tokens", "ablation")
# Patching has prompts of its own.
DRAWN = [page.name for page in PAGES if page.name not in (*REFUSED, "patching")]
PROMPTS = {
    "clean": f"the cat sat on the [MASK] .\n---\n{TEXT}",
    "corrupt": f"the dog sat on the [MASK] .\n---\n{TEXT}",
    "answer": "mat",
    "foil": "it",
}


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


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        # The other way round: of one of the two there is no share, so logits are given.
        {"clean": PROMPTS["corrupt"], "corrupt": PROMPTS["clean"]}
        | {"patch": "mlp_out", "column": "3"},
        {"clean": "the cat sat", "corrupt": "the dog sat", "patch": "k", "exact": "all"},
    ],
)
def test_a_masked_token_is_patched_and_its_code_gives_the_numbers(
    frames_of: Frames, chosen: dict[str, str]
) -> None:
    frames = frames_of("patching", model="bert", **(PROMPTS | chosen))
    assert [frame.title for frame in frames] == [
        "A clean and a corrupt prompt",
        "Quick look: every patch, estimated",
        f"Patching {'MLP out' if 'column' in chosen else chosen.get('patch', 'z')}, exactly",
    ]
    assert [agrees(frame) for frame in frames] == [True] * 3


def test_what_keeps_a_masked_token_from_being_patched_is_said(open_at: Open) -> None:
    for model, chosen, why in (
        ("bare", {}, "bare is an encoder without a head that predicts masked tokens"),
        ("bert", {"corrupt": "the dog [MASK] on the mat .\n---\nit"}, "clean prompt has 17 tokens"),
        ("bert", {"corrupt": f"the dog [MASK] on the mat .\n---\n{TEXT}"}, "6 of the clean"),
    ):
        app = open_at("patching", model=model, **(PROMPTS | chosen))
        expect_well(app)
        assert any(why in sentence for sentence in said(app)), said(app)
    app = open_at("patching", model="bert", **PROMPTS)
    expect_well(app)
    assert said(app) == []
    shown = " ".join(text_of(each.value) for each in app.caption)
    assert "in the place of [MASK]" in shown and "Paths between heads" in shown
    assert not any(button.label == "The same over a set of prompts" for button in app.button)


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
