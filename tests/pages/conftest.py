"""What every file of tests of pages begins with."""

import pytest

from app.compute.server import Server, install
from app.config import settings


@pytest.fixture(scope="module", autouse=True)
def _server_of_its_own() -> None:
    """Models and results that other files' tests have left in memory are no part of these tests."""
    install(Server(settings()))
