"""Models that a hub hands out by token: the token goes to the hub, and nowhere else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.errors import AnalysisError
from analysis.models import catalog
from analysis.models.catalog import list_models
from analysis.models.download import download_model
from analysis.models.loading import load_model
from tests.hub import FakeHub, running_hub, tiny_llama

NAME = "Llama-3.2-1B"
SOURCE = "meta-llama/Llama-3.2-1B"
TOKEN = "hf_aTokenThatNobodyHas"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that hands out a model by token only."""
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with running_hub() as hub:
        hub.files[SOURCE] = tiny_llama()
        hub.token = TOKEN
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        catalog.refresh()
        yield hub
    catalog.refresh()


def kept_in(folder: Path) -> list[Path]:
    """The files that hold the token."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return [file for file in files if TOKEN.encode() in file.read_bytes()]


def refused() -> str:
    with pytest.raises(AnalysisError) as raised:
        download_model(NAME)
    said = str(raised.value)
    assert TOKEN not in said
    assert not list((catalog.store() / "models").glob("*"))
    return said


@pytest.mark.parametrize("place", ["variable", "file"])
def test_a_gated_model_comes_with_the_token_of_this_machine(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd, place: str
) -> None:
    """Files come from another host, as the hub's large ones do: that one gets no token."""
    if place == "variable":
        monkeypatch.setenv("HF_TOKEN", TOKEN)
    else:
        file = tmp_path / "token"
        file.write_text(f"{TOKEN}\n")
        monkeypatch.setenv("HF_TOKEN_PATH", str(file))
    with running_hub() as store:
        store.files[SOURCE] = tiny_llama()
        hub.store = store.url
        info = download_model(NAME)
    assert store.asked
    assert set(store.tokens) == {None}
    assert set(hub.tokens) == {f"Bearer {TOKEN}"}
    assert load_model(info.name, "cpu").info.n_kv_heads == 2
    assert kept_in(catalog.store()) == []
    said = capfd.readouterr()
    assert TOKEN not in said.out + said.err


def test_without_a_token_it_says_how_to_give_one_and_asks_nobody(hub: FakeHub) -> None:
    assert "Set HF_TOKEN or run `hf auth login`" in refused()
    assert hub.asked == []
    assert not next(info for info in list_models() if info.name == NAME).downloadable


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((403, "GatedRepo"), "has not accepted the licence of this model"),
        ((401, ""), "does not accept this machine's token"),
        ((500, ""), "status 500"),
    ],
)
def test_a_refusal_by_the_hub_never_holds_the_token(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, refusal: tuple[int, str], said: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.refusal = refusal
    assert said in refused()


def test_a_line_that_breaks_with_a_token_does_not_tell_it(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.cut_after = 100
    assert refused().startswith(("The connection to the model hub broke off", "The model hub"))


def test_a_token_that_no_header_can_hold_is_no_traceback(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\u2028é")
    refused()


def test_models_for_everybody_are_asked_for_without_the_token(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.token = ""
    hub.files["openai-community/gpt2"] = tiny_llama()
    download_model("gpt2")
    assert set(hub.tokens) == {None}
