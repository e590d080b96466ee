"""Patching of an encoder's masked token, against transformers with hooks on its own modules."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import analysis
from analysis.effects.patching import PATCH_KINDS, PatchKind, PromptPair
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.loading import HeadModel, load_model
from analysis.runs.suffix import runs_suffixes
from tests.encoders import BERT, ROBERTA, WORDS, save, transformers_itself
from tests.model_folders import offered

CLEAN, CORRUPT = (f"the {x} sat on the [MASK] .\n---\nit was tired ." for x in ("cat", "dog"))
ANSWER, FOIL = WORDS.index("mat"), WORDS.index("it")
KINDS = [kind for kind in PATCH_KINDS if kind != "pattern"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("encoders")
    for name, settings in (("bert", BERT), ("roberta", ROBERTA)):
        save(root, name, settings)
    save(root, "bare", BERT, head=False)
    with offered(root):
        yield root


@pytest.fixture(scope="module", params=["bert", "roberta"])
def model(root: Path, request: pytest.FixtureRequest) -> HeadModel:
    return load_model(request.param)


def some_pair(model: HeadModel) -> PromptPair:
    """The two texts, the one that calls for the answer more as the clean one."""
    texts = [analysis.tokenize(model, text) for text in (CLEAN, CORRUPT)]
    pair = analysis.prompt_pair(model, texts[0], texts[1], ANSWER, FOIL)
    found = analysis.activation_patching(model, pair, "z", cells=[])
    return (
        pair
        if found.clean > found.corrupt
        else analysis.prompt_pair(model, texts[1], texts[0], ANSWER, FOIL)
    )


class Theirs:
    """transformers itself: the logit difference, with a part of one module's output replaced."""

    def __init__(self, model: HeadModel, pair: PromptPair) -> None:
        self.inner = transformers_itself(model.info.folder)
        self.pair = pair

    def difference(self, clean: bool) -> Tensor:
        """Logit of the answer minus that of the foil, where the token is masked."""
        tokens = self.pair.clean if clean else self.pair.corrupt
        logits = self.inner(tokens.tensor, token_type_ids=tokens.segment_tensor).logits
        (at,) = np.flatnonzero(tokens.ids[0] == WORDS.index("[MASK]"))
        return logits[0, at, ANSWER] - logits[0, at, FOIL]

    def module(self, kind: str, layer: int) -> Any:
        """Whose input or output it is."""
        block = self.inner.base_model.encoder.layer[layer]
        return {
            "resid_pre": block,
            "attn_out": block.attention.output.dense,
            "mlp_out": block.output.dense,
            "z": block.attention.output.dense,
            "q": block.attention.self.query,
            "k": block.attention.self.key,
            "v": block.attention.self.value,
        }[kind]

    def hooked(self, kind: str, layer: int, change: Callable[[Tensor], Tensor]) -> Any:
        """A hook that changes what enters a module, or what leaves it."""
        module = self.module(kind, layer)
        if kind in ("resid_pre", "z"):
            return module.register_forward_pre_hook(
                lambda module, given: (change(given[0]), *given[1:])
            )
        return module.register_forward_hook(lambda module, given, left: change(left))

    def kept(self, kind: PatchKind, layer: int, clean: bool) -> tuple[Tensor, Tensor]:
        """What stands there in a run, and the slope of the logit difference along it."""
        seen: list[Tensor] = []

        def keep(value: Tensor) -> Tensor:
            seen.append(value.detach().clone().requires_grad_())
            return seen[0]

        handle = self.hooked(kind, layer, keep)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self.difference(clean), seen)
        handle.remove()
        return seen[0].detach(), slope

    def patched(self, kind: PatchKind, layer: int, column: int) -> float:
        """The logit difference of the corrupt run with that of the clean one in its place."""
        clean, _ = self.kept(kind, layer, clean=True)

        def change(value: Tensor) -> Tensor:
            new = value.clone()
            new[place(kind, column)] = clean[place(kind, column)]
            return new

        handle = self.hooked(kind, layer, change)
        left = float(self.difference(clean=False).detach())
        handle.remove()
        return left


def place(kind: PatchKind, column: int) -> tuple[Any, ...]:
    """A position of all, or a head of all positions."""
    of_head = slice(4 * column, 4 * column + 4)
    return (0, column) if kind in ("resid_pre", "attn_out", "mlp_out") else (0, ..., of_head)


@pytest.mark.parametrize("kind", KINDS)
def test_a_patch_is_that_of_transformers(model: HeadModel, kind: PatchKind) -> None:
    pair = some_pair(model)
    found, theirs = analysis.activation_patching(model, pair, kind), Theirs(model, pair)
    clean, corrupt = (float(theirs.difference(clean).detach()) for clean in (True, False))
    assert (found.clean, found.corrupt) == pytest.approx((clean, corrupt), abs=1e-5)
    assert found.values.shape == (2, pair.clean.length if found.axis == "position" else 4)
    expected = [
        [theirs.patched(kind, layer, column) - corrupt for column in range(found.values.shape[1])]
        for layer in range(2)
    ]
    np.testing.assert_allclose(found.effects, expected, atol=1e-5)
    assert np.abs(found.effects).max() > 1e-2
    assert runs_suffixes(model)


def test_an_estimate_is_the_slope_that_transformers_has(model: HeadModel) -> None:
    pair = some_pair(model)
    maps, theirs = analysis.attribution_patching(model, pair), Theirs(model, pair)
    assert list(maps) == KINDS
    for kind, found in maps.items():
        for layer, column in np.ndindex(found.effects.shape):
            at = place(kind, column)
            corrupt, slope = theirs.kept(kind, layer, clean=False)
            change = theirs.kept(kind, layer, clean=True)[0] - corrupt
            expected = float((change[at] * slope[at]).sum())
            assert found.effects[layer, column] == pytest.approx(expected, abs=1e-5)
        assert np.abs(found.effects).max() > 1e-2


def test_what_cannot_be_patched_is_said(root: Path) -> None:
    bert, bare = load_model("bert"), load_model("bare")

    def refusal(clean: str, corrupt: str, model: HeadModel = bert) -> str:
        texts = (analysis.tokenize(model, text) for text in (clean, corrupt))
        with pytest.raises(AnalysisError) as refused:
            analysis.prompt_pair(model, *texts, ANSWER, FOIL)
        return str(refused.value)

    two = "the [MASK] sat on the [MASK] ."
    assert "position none of the clean prompt and at none of" in refusal("the cat .", "the dog .")
    assert "at position 2, 6 of the clean" in refusal(two, two.replace("sat", "ran"))
    assert "at position 2 of the clean prompt and at 3" in refusal(
        "the [MASK] cat .", "the cat [MASK] ."
    )
    assert "without a head that predicts masked" in refusal(CLEAN, CORRUPT, bare)
    pair = some_pair(bert)
    with pytest.raises(AnalysisError, match="in the place of a pattern does not reach"):
        analysis.activation_patching(bert, pair, "pattern")
    with pytest.raises(AnalysisError, match="bert is an encoder"):
        analysis.path_patching(bert, pair, Head(1, 0))
    with pytest.raises(AnalysisError, match="bert is an encoder"):
        analysis.pair_edge_attribution(bert, pair)
