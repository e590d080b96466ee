"""Texts of a data set by its name: what is asked of the hub's client, and what comes of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.errors import AnalysisError
from analysis.heads.corpus import fetch, hub


class Client:
    """What the library of data sets says of one data set, and what it was asked."""

    def __init__(self, parts: list[str], splits: list[str], rows: list[dict[str, Any]]):
        self.parts, self.splits, self.rows = parts, splits, rows
        self.read, self.asked = 0, ()

    def get_dataset_config_names(self, name: str) -> list[str]:
        """Its parts."""
        return self.parts

    def get_dataset_split_names(self, name: str, part: str | None) -> list[str]:
        """Its splits."""
        return self.splits

    def load_dataset(self, name: str, part: str | None, **options: Any) -> Iterator[dict[str, Any]]:
        """Its rows, counted as they are read."""
        self.asked = (name, part, options)
        for row in self.rows:
            self.read += 1
            yield row

    def disable_progress_bars(self) -> None:
        """Nothing is drawn here."""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`said(client, **request)`: what the process says of a data set, without any network."""
    monkeypatch.setattr(hub, "_bound_memory", lambda: None)
    monkeypatch.setattr(hub.os, "chdir", lambda folder: None)
    missing = type("DatasetNotFoundError", (Exception,), {})

    def run(client: Client, **request: Any) -> list[dict[str, Any]]:
        monkeypatch.setitem(sys.modules, "datasets", client)
        errors = SimpleNamespace(DatasetNotFoundError=missing)
        monkeypatch.setitem(sys.modules, "datasets.exceptions", errors)
        hub.main({"name": "one/set", "part": None, "characters": 10, **request})
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_texts_are_streamed_until_there_are_enough(said: Any) -> None:
    rows = [{"id": 1, "text": "12345"}, {"id": 2, "text": " "}, {"id": 3, "text": "678901234"}]
    client = Client(["default"], ["test", "train"], [*rows, {"id": 4, "text": "never read"}])
    texts = [{"text": "12345"}, {"text": "67890"}]
    assert said(client) == [{"ready": True}, {"split": "train"}, *texts, {"finished": True}]
    assert client.read == 3
    assert client.asked == ("one/set", None, {"split": "train", "streaming": True})


def test_a_part_has_to_be_said_where_there_are_several(said: Any) -> None:
    client = Client(["raw", "clean"], ["validation"], [{"content": "a"}])
    (refused,) = said(client)[1:]
    assert "are raw, clean" in refused["refused"] and "one/set:raw" in refused["refused"]
    assert "are raw, clean" in said(client, part="dirty")[1]["refused"]
    assert said(client, part="clean")[1:] == [
        {"split": "validation"},
        {"text": "a"},
        {"finished": True},
    ]


def test_a_data_set_without_texts_is_refused_with_its_columns(said: Any) -> None:
    refused = said(Client(["default"], ["train"], [{"image": b"", "label": 3}]))[-1]["refused"]
    assert refused.endswith("it has image, label.")


def test_a_client_that_fails_says_nothing_of_its_error(said: Any) -> None:
    client = Client(["default"], ["train"], [])
    client.get_dataset_config_names = lambda name: 1 / 0  # type: ignore[method-assign]
    assert "cannot be reached" in said(client)[-1]["refused"]


def answers(monkeypatch: pytest.MonkeyPatch, *said: dict[str, Any]) -> list[Any]:
    """Let a process say this, and note what it was asked."""
    asked: list[Any] = []

    @contextmanager
    def running(module: str, request: str) -> Iterator[Any]:
        asked.append((module, json.loads(request)))
        text = "".join(f"{json.dumps(line)}\n" for line in said)
        program = f"import sys; sys.stdout.write({text!r})"
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        ) as process:
            yield process

    monkeypatch.setattr(fetch, "running", running)
    return asked


def test_what_the_process_says_is_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(
        monkeypatch,
        *({"ready": True}, {"split": "train"}, {"text": "One."}, {"text": "=1+1"}),
        {"finished": True},
    )
    seen: list[tuple[int, int]] = []
    found = fetch.fetch_texts(" one/set:clean ", lambda done, total: seen.append((done, total)))
    assert (found.name, found.split, found.parts) == ("one/set:clean", "train", ("One.", "=1+1"))
    request = {"name": "one/set", "part": "clean", "characters": fetch.CHARACTERS}
    assert asked == [("analysis.heads.corpus.hub", request)]
    assert seen[-1][0] == 8


@pytest.mark.parametrize(
    ("said_by_it", "sentence"),
    [
        (({"ready": True}, {"refused": "The hub does not have it."}), "does not have it"),
        (({"ready": True}, {"split": "train"}), "ended before its time"),
        (({"ready": True}, {"split": "train"}, {"finished": True}), "holds no text"),
    ],
)
def test_what_goes_wrong_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, said_by_it: tuple[dict[str, Any], ...], sentence: str
) -> None:
    answers(monkeypatch, *said_by_it)
    with pytest.raises(AnalysisError, match=sentence):
        fetch.fetch_texts("one/set")


@pytest.mark.parametrize(
    "name",
    ["", "models", "../models", "/etc/passwd", "a/b/c", "a/../b", "a/b:", "a/\u202eb", "-a/b"],
)
def test_no_name_stands_for_files_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked = answers(monkeypatch)
    with pytest.raises(AnalysisError, match="as the hub does"):
        fetch.fetch_texts(name)
    assert not asked


def test_whoever_leaves_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {"ready": True})

    def leave(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.fetch_texts("one/set", leave)
