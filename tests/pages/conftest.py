"""What every file of tests of pages begins with."""

import pytest

from analysis.models.catalog import offer_everything
from app.compute.server import Server, install
from app.config import Config


@pytest.fixture(scope="module", autouse=True)
def _server_of_its_own() -> None:
    """Models and results that other files' tests have left in memory are no part of these tests."""
    offer_everything()
    install(Server(Config()))
