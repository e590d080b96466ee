"""Fixtures of the tests of single modules."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.models import catalog


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for HEADSCOPE_MODELS."""
    root = tmp_path / "own"
    root.mkdir()
    monkeypatch.setenv("HEADSCOPE_MODELS", str(root))
    catalog.refresh()
    yield root
    catalog.refresh()
