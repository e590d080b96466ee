"""What every file of tests of pages begins with."""

from collections.abc import Iterator
from functools import cache

import pytest
from streamlit.components.v2 import manifest_scanner

from app.compute.server import Server, install
from app.config import settings


@pytest.fixture(scope="session", autouse=True)
def _components_looked_for_once() -> Iterator[None]:
    """Which installed packages bring components, each `AppTest` asks anew: a quarter of a second.

    A server asks once.
    """
    with pytest.MonkeyPatch.context() as patch:
        look = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", look)
        yield


@pytest.fixture(scope="module", autouse=True)
def _server_of_its_own() -> None:
    """Models and results that other files' tests have left in memory are no part of these tests."""
    install(Server(settings()))
