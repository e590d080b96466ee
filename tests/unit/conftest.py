"""Fixtures of the tests of single modules."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.errors import AnalysisError
from analysis.models import catalog
from analysis.models.catalog import find_model
from analysis.models.loading import HeadModel, load_model
from tests.conftest import OWN_STORE


@pytest.fixture(scope="module")
def little_garbage() -> None:
    """What other tests have left is no longer looked through when garbage is collected.

    As `import_all` sees to it for a server. In here such a look takes up to a second by the end.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for HEADSCOPE_MODELS."""
    root = tmp_path / "own"
    root.mkdir()
    monkeypatch.setenv("HEADSCOPE_MODELS", str(root))
    catalog.refresh()
    yield root
    catalog.refresh()


@pytest.fixture(scope="session")
def smollm2() -> HeadModel:
    """The pretrained model that needs no hub, where it is installed. Read-only."""
    return own_model("SmolLM2-135M-Instruct", "make smollm2")


@pytest.fixture(scope="session")
def minilm() -> HeadModel:
    """The encoder that needs no hub, where it is installed. Read-only."""
    return own_model("all-MiniLM-L6-v2", "make minilm")


def own_model(name: str, made_by: str) -> HeadModel:
    """A model of this user's store, or a skipped test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSCOPE_CACHE", str(OWN_STORE))
        catalog.refresh()
        try:
            find_model(name)
        except AnalysisError:
            pytest.skip(f"{made_by} has not been run, or its package cannot be installed")
        model = load_model(name)
    catalog.refresh()
    return model
