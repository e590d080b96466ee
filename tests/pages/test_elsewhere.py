"""Pages of a process that holds no weights: every one is drawn by what workers answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.compute.server import Server, install
from app.config import settings
from app.links.pages import PAGES
from tests.elsewhere import models_elsewhere

ENTRY = str(Path(__file__).parents[2] / "streamlit_app.py")


@pytest.fixture(scope="module", autouse=True)
def _elsewhere() -> Iterator[None]:
    with models_elsewhere() as (server, _):
        install(server)
        yield
    install(Server(settings()))


@pytest.mark.parametrize("name", [page.name for page in PAGES if page.name != "start"])
def test_a_page_is_drawn_without_weights(name: str) -> None:
    app = AppTest.from_file(ENTRY, default_timeout=400)
    app.query_params["input"] = "prompt"
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception
    assert not app.error
