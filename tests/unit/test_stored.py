"""Results as bytes: what comes back is what was kept, and nothing else comes back."""

import hashlib
import pickle
import sqlite3
from dataclasses import is_dataclass, replace
from pathlib import Path
from types import MappingProxyType

import diskcache
import numpy as np
import pytest

import analysis
from analysis.head import Head
from analysis.heads.scores import head_scores
from analysis.models.loading import HeadModel
from analysis.runs.inputs import repeated_tokens
from analysis.runs.predictions import next_token_stats
from app.compute import ask as ask_module
from app.compute import shipped, stored
from app.compute.shared_cache import SharedCache, nbytes
from app.compute.stored import ResultFolder, from_bytes, key_text, shipped_file, to_bytes


def alike(one: object, other: object) -> None:
    """Both hold the same, array by array."""
    if isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray)
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=1e-5)
    elif hasattr(one, "__dataclass_fields__"):
        assert type(one) is type(other)
        for name in one.__dataclass_fields__:
            alike(getattr(one, name), getattr(other, name))
    elif isinstance(one, (dict, MappingProxyType)):
        assert dict(one).keys() == dict(other).keys()  # type: ignore[call-overload]
        for name, value in one.items():
            alike(value, other[name])  # type: ignore[index]
    elif isinstance(one, tuple):
        assert isinstance(other, tuple)
        for left, right in zip(one, other, strict=True):
            alike(left, right)
    else:
        assert one == other or (one != one and other != other)


def kept(question: str, value: object) -> bytes:
    data = to_bytes(question, value)
    assert data is not None
    return data


def test_results_come_back_as_they_were(attention_only: HeadModel) -> None:
    tokens = repeated_tokens(attention_only, length=6, batch=2)
    for result in (
        tokens,
        head_scores(attention_only, tokens),
        next_token_stats(attention_only, tokens),
        analysis.attention_patterns(attention_only, tokens),
        analysis.ablate_heads(attention_only, tokens, [Head(0, 1)]),
        0.25,
    ):
        alike(result, from_bytes("q", kept("q", result)))
    again = from_bytes("q", kept("q", tokens))
    assert not again.ids.flags.writeable


def test_a_result_cut_off_or_changed_anywhere_is_not_read() -> None:
    data = kept("question", np.arange(50.0))
    assert from_bytes("question", data) is not None
    assert from_bytes("another question", data) is None
    for end in range(0, len(data), 7):
        assert from_bytes("question", data[:end]) is None
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        assert from_bytes("question", bytes(changed)) is None


def test_only_known_types_are_made_and_nothing_is_unpickled(tmp_path: Path) -> None:
    def signed(tree: str, **arrays: np.ndarray) -> bytes:
        file = tmp_path / "made.npz"
        np.savez(file, tree=np.frombuffer(tree.encode(), np.uint8), **arrays)
        content = file.read_bytes()
        return hashlib.sha256(b"q\0" + content).digest() + content

    assert from_bytes("q", signed('{"plain": 3}')) == 3
    assert from_bytes("q", signed('{"type": "load_model", "fields": {}}')) is None
    assert from_bytes("q", signed('{"type": "Head", "fields": {"layr": {"plain": 3}}}')) is None
    objects = np.array([Head(0, 0)], dtype=object)
    assert from_bytes("q", signed('{"array": "a0"}', a0=objects)) is None
    assert to_bytes("q", object()) is None
    assert to_bytes("q", objects) is None


def test_keys_that_differ_have_different_texts() -> None:
    keys = [("a", 1), ("a", "1"), ("a", b"1"), ("a", 1.0), ("a", True), ("a,1",), (("a",), 1)]
    assert len({key_text(key) for key in keys}) == len(keys)
    assert key_text(("f", Head(1, 2))) == key_text(("f", Head(1, 2)))
    assert key_text(("f", np.arange(3))) is None


def test_a_folder_keeps_results_over_a_restart(tmp_path: Path) -> None:
    ResultFolder(tmp_path, 2**24).keep("q", b"data")
    assert ResultFolder(tmp_path, 2**24).get("q") == b"data"
    assert ResultFolder(tmp_path, 2**24).get("other") is None


def test_what_somebody_puts_into_the_folder_is_not_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path(tmp_path / "sprung").write_text, ("x",))

    ResultFolder(tmp_path, 2**24).keep("q", b"data")
    with sqlite3.connect(tmp_path / "cache.db") as database:
        database.execute(
            "UPDATE Cache SET mode = ?, value = ?, filename = NULL",
            (diskcache.core.MODE_PICKLE, pickle.dumps(Trap())),
        )
    assert ResultFolder(tmp_path, 2**24).get("q") in (None, b"")
    assert not (tmp_path / "sprung").exists()


def test_the_backend_computes_again_what_the_folder_has_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, calls = ResultFolder(tmp_path, 2**24), []
    monkeypatch.setattr(ask_module, "_folder", lambda: folder)
    info = shipped.first_view().info

    def ask() -> object:
        monkeypatch.setattr(
            ask_module, "_results", SharedCache(2**20, nbytes)
        )  # as after a restart
        return ask_module._shared("f", info, (1,), lambda model: calls.append(1) or len(calls))

    assert [ask(), ask()] == [1, 1]
    question = key_text(ask_module.key_of("f", info, (1,)))
    assert question
    folder.keep(question, (folder.get(question) or b"")[:-3])
    assert [ask(), ask()] == [2, 2]


def test_what_comes_with_the_model_is_what_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    selection = shipped.first_view()
    monkeypatch.setattr(ask_module, "_results", SharedCache(2**26, nbytes))
    monkeypatch.setattr(ask_module, "shipped_file", lambda *_: Path("absent"))
    shipped.compute_first_view(selection)
    computed = dict(ask_module.remembered())
    assert len(computed) == len(list((selection.info.folder / "views").iterdir()))
    for question, value in computed.items():
        found = from_bytes(question, shipped_file(selection.info.folder, question).read_bytes())
        if isinstance(value, analysis.HeadScores):  # a score may be newer than the file
            names = found.values.keys()
            assert {"previous", "induction", "entropy"} <= names
            value, found = (
                replace(
                    each,
                    values={name: each.values[name] for name in names},
                    spread={name: each.spread[name] for name in names},
                    chance={name: each.chance[name] for name in names},
                )
                for each in (value, found)
            )
        alike(value, found)


def test_every_result_is_kept_but_for_those_with_a_reason() -> None:
    not_kept = {
        "FactoredTiming",  # measured, and only true of the machine that measured it
        "Ablation",  # pages have `HeadAblation` one by one
        "TopHeads",  # for notebooks
        "PromptPair",  # a question
        "HeadModel",
        "ModelInfo",
        "Weights",
    }
    results = {name for name in analysis.__all__ if is_dataclass(getattr(analysis, name))}
    assert set(stored.TYPES) == results - not_kept


def test_results_of_every_shape_come_back_as_they_were(attention_only: HeadModel) -> None:
    tokens = repeated_tokens(attention_only, length=6, batch=2)
    for result in (
        analysis.ov_eigenvalues(attention_only),
        analysis.ov_svd(attention_only, Head(1, 0), n=2, top=3),
        analysis.edge_attribution(attention_only, tokens, method="zero"),
        analysis.k_composition(attention_only, tokens, 1, 0),
        analysis.parameters(attention_only),
    ):
        alike(result, from_bytes("q", kept("q", result)))


def test_what_the_folder_kept_before_a_score_was_added_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ResultFolder(tmp_path, 2**24).keep("q", b"data")
    monkeypatch.setattr(stored, "_SCORES", "of other scores")
    assert ResultFolder(tmp_path, 2**24).get("q") is None


def test_a_shipped_result_without_a_score_is_read_and_says_so(attention_only: HeadModel) -> None:
    whole = head_scores(attention_only, repeated_tokens(attention_only, length=6, batch=2))
    values = {name: values for name, values in whole.values.items() if name != "previous"}
    older = from_bytes("q", kept("q", replace(whole, values=values)))
    assert older.not_measured == ("previous",)
    np.testing.assert_array_equal(older.induction, whole.induction)
