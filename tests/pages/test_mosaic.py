"""The mosaic page with many models: which are shown, in which order, and what its link holds."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analysis.definitions import SCORE_NAMES
from analysis.models import catalog
from analysis.runs.results import HeadScores
from app.compute import calls
from app.links import session

ENTRY = str(Path(__file__).parents[2] / "streamlit_app.py")
BASE = catalog.list_models()[0]
# 20 models, each family and size in turn; the later a model, the earlier its title.
MODELS = tuple(
    replace(
        BASE,
        name=f"m{i}" if i else BASE.name,
        title=f"Model {chr(ord('t') - i)}",
        family=("Pythia", "GPT-2")[i % 2],
        n_params=(i * 7) % 20,
    )
    for i in range(20)
)
BEST = {info.name: (i * 3) % 20 / 20 for i, info in enumerate(MODELS)}
# Of the last model nothing is known.
SCORES = {
    name: HeadScores(
        values={
            score: np.full((BASE.n_layers, BASE.n_heads), best, np.float32) for score in SCORE_NAMES
        },
        spread={},
        chance=dict.fromkeys(SCORE_NAMES, 0.0),
        course_stripe=None,
        layers=tuple(range(BASE.n_layers)),
    )
    for name, best in BEST.items()
    if name != "m19"
}


@pytest.fixture
def mosaic(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page, where those 20 models are here."""
    monkeypatch.setattr(catalog, "list_models", cache(lambda: MODELS))
    monkeypatch.setattr(
        calls,
        "mosaic",
        lambda infos: {info.name: SCORES.get(info.name, "No scores.") for info in infos},
    )
    app = AppTest.from_file(ENTRY, default_timeout=400)
    app.switch_page("pages/mosaic.py")
    return app


def titles(app: AppTest) -> list[str]:
    assert not app.exception
    return [text.value[2:-2] for text in app.markdown if text.value.startswith("**Model")]


def test_family_and_order_choose_the_maps_and_are_in_the_link(mosaic: AppTest) -> None:
    mosaic.run()
    assert titles(mosaic) == [info.title for info in MODELS]
    orders = {
        "name": sorted(MODELS, key=lambda info: info.title),
        "size": sorted(MODELS, key=lambda info: info.n_params),
        "best": [*sorted(MODELS[:19], key=lambda info: -BEST[info.name]), MODELS[19]],
    }
    for order, expected in orders.items():
        mosaic.selectbox(key=session.widget_name("sort")).set_value(order).run()
        assert titles(mosaic) == [info.title for info in expected]
        assert mosaic.query_params["sort"] == order
    mosaic.selectbox(key=session.widget_name("family")).set_value("GPT-2").run()
    assert titles(mosaic) == [info.title for info in orders["best"] if info.family == "GPT-2"]
    assert mosaic.query_params["family"] == "GPT-2"
    mosaic.selectbox(key=session.widget_name("sort")).set_value("listed").run()
    assert "sort" not in mosaic.query_params


@pytest.mark.parametrize("key", ["family", "sort"])
def test_what_is_no_choice_is_the_default_and_said(mosaic: AppTest, key: str) -> None:
    mosaic.query_params[key] = "<script>*x*"
    mosaic.run()
    assert titles(mosaic) == [info.title for info in MODELS]
    assert any("<script>*x*" in text.value for text in mosaic.text)
    assert key not in mosaic.query_params


def test_a_family_without_models_here_is_one_sentence(mosaic: AppTest) -> None:
    mosaic.query_params["family"] = "Qwen"
    mosaic.run()
    assert titles(mosaic) == []
    assert [text.value for text in mosaic.text] == [
        "No model of the family Qwen is on this machine."
    ]


def test_one_model_offers_nothing_to_choose(
    mosaic: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "list_models", cache(lambda: MODELS[:1]))
    mosaic.run()
    assert titles(mosaic) == [MODELS[0].title]
    assert {box.label for box in mosaic.selectbox} & {"Family", "Sort by"} == set()
