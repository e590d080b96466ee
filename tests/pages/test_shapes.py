"""Every page on models that are large in one way: it is drawn, or refused with the reason."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.models import catalog, config, info
from app.links.pages import PAGES
from tests.model_folders import LARGE, LLAMA, edit, listed, save
from tests.pages.test_pages import Open, expect_well, open_at, said

__all__ = ["open_at"]

# Words of the tokenizer that these folders have.
WORDS = {
    "prompt": "The cat sat on the mat. The dog sat on the log.",
    "clean": "The cat sat on",
    "corrupt": "The dog sat on",
    "answer": " the",
    "foil": " cat",
    "length": "8",
    "batch": "2",
}
# What these models really lack.
TRUE = ("rotary positions", "without a history", "first names that are one token")
NAMES = [page.name for page in PAGES if page.asks != "nothing"]
# Those whose work grows with pairs of heads; of the others a large vocabulary is the hard case.
OF_HEADS = ("attribution", "patching", "composition", "compare")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    for name in ("wide-vocabulary", "many-heads"):
        save(folder, name, LARGE[name])
    _seven_billion(folder)
    return folder


def _seven_billion(root: Path) -> None:
    """A file as long as 7B weights are, which takes no room on the disk."""
    folder = save(root, "seven-billion", LLAMA)
    sizes = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32}
    edit(folder, **sizes, num_key_value_heads=32, intermediate_size=11_008, vocab_size=32_000)
    count = 6_738_415_616
    tensor = {"dtype": "F16", "shape": [count], "data_offsets": [0, 2 * count]}
    header = json.dumps({"weights": tensor}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2 * count)


@pytest.fixture(autouse=True)
def models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HEADSCOPE_MODELS", str(folder))
    for module in (config, info):
        monkeypatch.setattr(module, "machine_memory", lambda: 16 * 2**30)
    catalog.refresh()
    yield
    catalog.refresh()


@pytest.mark.parametrize(
    ("model", "name"),
    [*(("wide-vocabulary", name) for name in NAMES), *(("many-heads", name) for name in OF_HEADS)],
)
def test_a_page_is_drawn_or_refused_truly(open_at: Open, model: str, name: str) -> None:
    app = open_at(name, model=model, **WORDS)
    expect_well(app)
    assert [sentence for sentence in said(app) if not any(map(sentence.__contains__, TRUE))] == []


def test_a_model_that_the_machine_has_no_memory_for_is_refused_before_it_is_read(
    open_at: Open,
) -> None:
    found = listed("seven-billion")
    assert not found.available
    assert "GB of memory; this machine has 16.0. Choose a smaller model." in found.problem
    app = open_at("tokens", model="seven-billion")
    expect_well(app)
    assert any("this machine has 16.0" in sentence for sentence in said(app))
