"""Fixtures shared by every layer of tests: tiny models of random weights, and the bundled one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from analysis.models.catalog import BUNDLED, store
from analysis.models.info import HUB_TOKENS, ModelInfo, Positions
from analysis.models.loading import HeadModel, load_model, load_tokenizer, native_bridge

# What this user has installed or kept is no part of a test: its pages would differ by machine.
_empty = TemporaryDirectory(prefix="headscope-tests-")
# A worker of pytest-xdist inherits an environment in which the lines below have run already.
OWN_STORE = Path(os.environ.setdefault("HEADSCOPE_OWN_STORE", str(store())))
os.environ.update(HEADSCOPE_CACHE=_empty.name, HEADSCOPE_MODELS=_empty.name)
os.environ["HF_HUB_CACHE"] = _empty.name
# Nor is a token that this user has.
os.environ["HF_TOKEN_PATH"] = str(Path(_empty.name) / "token")
for name in HUB_TOKENS:
    os.environ.pop(name, None)
# Nobody answers there: a test that reached for a hub would fail and not fetch.
os.environ.update(HF_ENDPOINT="http://127.0.0.1:9", NO_PROXY="127.0.0.1")

# Tests run side by side in several processes: threads of their own would only wait for each other.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test of the browser try again, once.

    Its waits have an end, and a machine that others load as well can pass any end. What is broken
    fails both times, and the summary names every test that needed its second try.
    """
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    """Code of a page that a test runs turns gradients off, as a notebook does; not for the next."""
    yield
    torch.set_grad_enabled(True)


MakeModel = Callable[..., HeadModel]


def make_model(
    *,
    n_layers: int = 2,
    n_heads: int = 4,
    d_model: int = 32,
    d_head: int = 8,
    d_mlp: int = 0,
    n_ctx: int = 64,
    d_vocab: int = 4096,
    normalization: str | None = None,
    positions: Positions = "learned",
    seed: int = 0,
) -> HeadModel:
    """A tiny native model of random weights (biases too) with the bundled tokenizer."""
    info = ModelInfo(
        name="tiny",
        title="Tiny",
        folder=Path("tiny"),
        available=True,
        n_layers=n_layers,
        n_heads=n_heads,
        d_model=d_model,
        d_head=d_head,
        d_mlp=d_mlp,
        n_ctx=n_ctx,
        d_vocab=d_vocab,
        n_params=0,
        normalization=normalization,
        positions=positions,
    )
    tokenizer = load_tokenizer(BUNDLED / "attn-only-2l" / "tokenizer.json")
    bridge = native_bridge(info, tokenizer, "cpu")
    generator = torch.Generator().manual_seed(seed)
    # b_U is a buffer of zeros in the bridge, not a parameter.
    for weight in (*bridge.parameters(), bridge.b_U):
        # 0.2 makes attention uneven, so that a mistake in it shows.
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    assert bridge.state_dict()["unembed.bias"].any()
    return HeadModel(info, bridge, tokenizer, fingerprint=f"tiny-{seed}")


def state_dict(model: HeadModel) -> dict[str, torch.Tensor]:
    """The weights of a native model of attention only, under the names of the course's file."""
    weights = {
        "embed.W_E": model.bridge.W_E,
        "pos_embed.W_pos": model.bridge.W_pos,
        "unembed.W_U": model.bridge.W_U,
        "unembed.b_U": model.bridge.b_U,
    }
    for layer, block in enumerate(model.bridge.blocks):
        for part in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"):
            weights[f"blocks.{layer}.attn.{part}"] = getattr(block.attn, part)
    return weights


@pytest.fixture(scope="session")
def attention_only() -> HeadModel:
    """2 layers x 4 heads, no norm, no MLP. Read-only: shared by every test."""
    return make_model()


@pytest.fixture(scope="session")
def with_mlp() -> HeadModel:
    """2 layers x 4 heads with LayerNorm and GELU MLPs. Read-only: shared by every test."""
    return make_model(d_mlp=64, normalization="LN")


@pytest.fixture(scope="session")
def bundled() -> HeadModel:
    """The model that we ship."""
    return load_model("attn-only-2l")
