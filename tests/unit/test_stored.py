"""Results as bytes: what comes back is what was kept, and nothing else comes back."""

import hashlib
import io
import os
import pickle
import sqlite3
import threading
import tracemalloc
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Literal

import diskcache
import numpy as np
import pytest
from filelock import FileLock
from jaxtyping import Float

import analysis
from analysis.head import Head
from analysis.heads.scores import head_scores
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel
from analysis.runs.inputs import repeated_tokens
from analysis.runs.predictions import next_token_stats
from app.compute import shipped, stored, trees
from app.compute.ask import ask, key_of, remembered
from app.compute.kinds import require_kinds
from app.compute.question import Question
from app.compute.server import Server
from app.compute.stored import (
    ResultFolder,
    from_bytes,
    key_text,
    open_folder,
    shipped_file,
    to_bytes,
)
from app.config import Config


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


def bomb() -> bytes:
    """A file that says it has more numbers than there is memory."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)}
        )
        file.writestr("tree.npy", head.getvalue())
    return content.getvalue()


def not_zlib() -> bytes:
    """A file whose compressed bytes are none."""
    content = io.BytesIO()
    np.savez_compressed(content, tree=np.zeros(4000, np.uint8))
    data = bytearray(content.getvalue())
    start = 30 + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
    data[start : start + 8] = b"\xff" * 8
    return bytes(data)


def cut_short() -> bytes:
    """A file with less in it than it says."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("tree.npy", b"\x93NUMPY\x01")
    return content.getvalue()


def nested() -> bytes:
    """A tree that is deeper than any recursion may go."""
    content = io.BytesIO()
    tree = '{"tuple": [' * 100_000 + "]}" * 100_000
    np.savez_compressed(content, tree=np.frombuffer(tree.encode(), np.uint8))
    return content.getvalue()


def of_a_list() -> bytes:
    """A tree of another shape."""
    content = io.BytesIO()
    tree = '{"type": "Head", "fields": [1, 2]}'
    np.savez(content, tree=np.frombuffer(tree.encode(), np.uint8))
    return content.getvalue()


@pytest.mark.parametrize("forged", [bomb, not_zlib, cut_short, nested, of_a_list])
def test_a_forged_entry_with_a_valid_checksum_is_none_at_all(forged) -> None:
    content = forged()
    assert from_bytes("q", hashlib.sha256(b"q\0" + content).digest() + content) is None


def test_a_forged_entry_that_unpacks_to_all_of_the_memory_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored, "MAX_UNPACKED", 2**20)
    content = io.BytesIO()
    tree = np.frombuffer(b'{"array": "a0"}', np.uint8)
    np.savez_compressed(content, tree=tree, a0=np.zeros(2**26, np.uint8))
    forged = hashlib.sha256(b"q\0" + content.getvalue()).digest() + content.getvalue()
    assert len(forged) < 2**17
    tracemalloc.start()
    assert from_bytes("q", forged) is None
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def forged_file(tree: bytes, **arrays: np.ndarray) -> bytes:
    """A small file with a valid checksum for the question `q`."""
    file = io.BytesIO()
    np.savez_compressed(file, tree=np.frombuffer(tree, np.uint8), **arrays)
    return hashlib.sha256(b"q\0" + file.getvalue()).digest() + file.getvalue()


@pytest.mark.parametrize(
    "wrong",
    [
        {"values": np.zeros((2, 2))},  # a table for a list of heads' numbers
        {"values": np.zeros(4, int)},
        {"head": {"a": 1}},
        {"head": ("L0H1",)},
        {"head": None},
        {"kind": "of no kind"},
        {"value": "0.5"},
        {"value": True},
        {"labels": ("a", 1)},
        {"two": (0.5,)},
        {"named": MappingProxyType({"a": "b"})},
    ],
    ids=str,
)
def test_a_field_of_another_type_makes_no_result(
    wrong: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result of the right class with a text for its head ended the page that showed it.

    By a class of its own: those of `analysis` are held to their types in tests, and only there.
    """
    monkeypatch.setattr(trees, "TYPES", trees.TYPES | {"_Result"})
    monkeypatch.setattr(analysis, "_Result", _Result, raising=False)
    right: dict[str, object] = {
        **{"values": np.zeros(4), "head": Head(0, 1), "kind": "zero", "value": 1, "labels": ("a",)},
        **{"two": (0.5, 1.5), "named": MappingProxyType({"a": 0.5}), "none": None},
    }
    alike(_Result(**right), from_bytes("q", kept("q", _Result(**right))))  # type: ignore[arg-type]
    forged = kept("q", _Result(**(right | wrong)))  # type: ignore[arg-type]
    assert from_bytes("q", forged) is None


@dataclass
class _Result:
    values: Float[np.ndarray, " head"]
    head: Head
    kind: Literal["zero", "mean"]
    value: float
    labels: tuple[str, ...]
    two: tuple[float, float]
    named: Mapping[str, float]
    none: Float[np.ndarray, "layer head"] | None


def test_the_fields_of_every_result_are_looked_at() -> None:
    for name in sorted(trees.TYPES):
        with pytest.raises(TypeError, match="is something else"):
            require_kinds(getattr(analysis, name), {"no such field": 3})


def test_an_array_that_is_named_often_is_unpacked_once() -> None:
    """A file of 65 kB stood for any number of copies of 64 MB."""
    named = b'{"tuple": [' + b", ".join([b'{"array": "a0"}'] * 50) + b"]}"
    data = forged_file(named, a0=np.zeros(2**20))
    tracemalloc.start()
    found = from_bytes("q", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 50 and peak < 4 * 8 * 2**20


def test_what_a_result_is_put_together_by_is_bounded() -> None:
    """47 kB stood for 24 MB of JSON, of which Python made 850 MB."""
    count = stored.MAX_TREE // 10
    tree = b'{"tuple":[' + b'{"plain":0},' * count + b'{"plain":0}]}'
    assert from_bytes("q", forged_file(tree)) is None
    assert to_bytes("q", (0, None) * count) is None
    assert from_bytes("q", forged_file(b'{"array": "a0"}', a0=np.array(["text"]))) is None


def edges(count: int) -> analysis.EdgeAttribution:
    """So many edges, of as many kinds as there are."""
    found = tuple(
        analysis.Edge(Head(n % 7, n % 5), analysis.Reader(n % 9, n % 3, "qkv"[n % 3], 2), n / 7)
        for n in range(count)
    )
    return analysis.EdgeAttribution(found, 1.5, "mean", 3)


@pytest.mark.parametrize("count", [1, trees.MANY - 1, trees.MANY, 100_000])
def test_many_objects_are_kept_as_a_few_arrays(count: int) -> None:
    """SmolLM2 has 59,000 edges, which were 17 MB of JSON."""
    whole = edges(count)
    data = to_bytes("q", whole)
    assert data is not None
    assert len(data) < 20 * count + 5_000
    found = from_bytes("q", data)
    assert type(found) is analysis.EdgeAttribution
    assert found.edges == whole.edges
    assert type(found.edges[0].writer.layer) is int
    assert (found.clean_loss, found.method, found.seed) == (1.5, "mean", 3)


LONG = trees.MANY + 1


@pytest.mark.parametrize(
    "values",
    [
        ("a",) * LONG,
        (2**70,) * LONG,
        (True,) * LONG,
        (float("nan"), *(0.5,) * LONG),
        (1, *(0.5,) * LONG),
        ((1, 2),) * LONG,
        (None,) * LONG,
    ],
)
def test_long_rows_of_values_come_back_as_they_were(values: tuple[object, ...]) -> None:
    data = to_bytes("q", values)
    assert data is not None
    found = from_bytes("q", data)
    assert repr(found) == repr(values)


@pytest.mark.parametrize(
    ("tree", "column"),
    [
        (b'{"numbers": "a0"}', np.zeros((2, 2))),
        (b'{"numbers": "a0"}', np.zeros(2, np.float32)),
        (b'{"numbers": "a0"}', np.zeros(trees.MAX_MANY + 1)),
        (
            b'{"tuple": [' + b'{"numbers": "a0"}, ' * 2 + b'{"numbers": "a0"}]}',
            np.zeros(trees.MAX_MANY // 2),
        ),
        (b'{"texts": ["a", 3]}', np.zeros(1)),
        (b'{"many": "Head", "fields": {"layer": {"numbers": "a0"}}}', np.zeros(2, np.int64)),
        (
            b'{"many": "Head", "fields": {"layer": {"numbers": "a0"}, "head": {"tuple": []}}}',
            np.zeros(2, np.int64),
        ),
        (
            b'{"many": "Head", "fields": {"layer": {"numbers": "a0"}, "head": {"numbers": "a0"}}}',
            np.zeros(2),
        ),
        (b'{"many": "PosixPath", "fields": {}}', np.zeros(1)),
    ],
)
def test_columns_that_are_none_are_not_read(tree: bytes, column: np.ndarray) -> None:
    assert from_bytes("q", forged_file(tree, a0=column)) is None


@pytest.mark.parametrize("kind", ["fifo", "endless", "folder"])
def test_what_lies_where_a_view_would_come_with_a_model_is_read_only_if_it_is_a_file(
    tmp_path: Path, kind: str
) -> None:
    """A pipe there held up every page of that model for good."""
    counted = Question("views", lambda: lambda model: 7)
    info = replace(shipped.first_view().info, folder=tmp_path)
    question = key_text(key_of("views", info, ()))
    assert question
    file = shipped_file(tmp_path, question)
    file.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "endless":
        file.symlink_to("/dev/zero")
    else:
        file.mkdir()
    asking, server, found = threading.Event(), Server(Config()), []
    server.models = SimpleNamespace(get=lambda info, visitor: None)

    def asked() -> None:
        with server.used():
            found.append(ask(counted, info))
        asking.set()

    threading.Thread(target=asked, daemon=True).start()
    assert asking.wait(20)
    assert found == [7]


def test_keys_that_differ_have_different_texts() -> None:
    keys = [("a", 1), ("a", "1"), ("a", b"1"), ("a", 1.0), ("a", True), ("a,1",), (("a",), 1)]
    assert len({key_text(key) for key in keys}) == len(keys)
    assert key_text(("f", Head(1, 2))) == key_text(("f", Head(1, 2)))
    assert key_text(("f", np.arange(3))) is None


def test_a_folder_keeps_results_over_a_restart(tmp_path: Path) -> None:
    ResultFolder(tmp_path, 2**24).keep("q", b"data")
    assert ResultFolder(tmp_path, 2**24).get("q") == b"data"
    assert ResultFolder(tmp_path, 2**24).get("other") is None


@pytest.mark.parametrize("damage", [b"", b"not a database " * 1000])
def test_a_damaged_folder_is_set_aside_and_begun_anew(tmp_path: Path, damage: bytes) -> None:
    ResultFolder(tmp_path, 2**24).keep("q", b"data" * 20_000)
    (tmp_path / "of-somebody-else").write_text("x")
    for _ in range(3):  # what was set aside before makes way
        for file in tmp_path.glob("cache.db-*"):
            file.unlink()
        database = (tmp_path / "cache.db").read_bytes()
        (tmp_path / "cache.db").write_bytes(database[:100] + damage + database[4000:])
        folder = ResultFolder(tmp_path, 2**24)
        assert folder.get("q") is None
        folder.keep("q", b"more" * 20_000)
        assert ResultFolder(tmp_path, 2**24).get("q") == b"more" * 20_000
    assert (tmp_path / "damaged" / "cache.db").exists()
    assert (tmp_path / "of-somebody-else").exists()


def test_a_folder_that_is_damaged_while_it_is_used_is_begun_anew(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path, 2**24)
    for number in range(200):
        folder.keep(f"q{number}", b"data")
    with (tmp_path / "cache.db").open("r+b") as file:
        file.write(b"not a database " * 5000)
    for file in tmp_path.glob("cache.db-*"):
        file.write_bytes(b"")

    def ask(number: int) -> None:
        assert folder.get(f"q{number}") in (None, b"data")
        folder.keep(f"q{number}", b"data")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(200)))
    assert (tmp_path / "damaged").exists()
    folder.keep("q", b"data")
    assert ResultFolder(tmp_path, 2**24).get("q") == b"data"


def test_a_folder_that_is_not_ours_is_left_out_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert open_folder(str(tmp_path / "file"), 2**24) is None
    assert open_folder("", 2**24) is None
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_that_somebody_keeps_locked_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server did not start as long as another process held the lock."""
    monkeypatch.setattr(stored, "TURN", 0.1)
    folder = ResultFolder(tmp_path, 2**24)
    with FileLock(tmp_path / "turn.lock"):
        assert open_folder(str(tmp_path), 2**24) is None
        folder.keep("q", b"data")
        assert folder.get("q") == b"data"
    assert open_folder(str(tmp_path), 2**24) is not None


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


@pytest.mark.parametrize("mode", [diskcache.core.MODE_BINARY, diskcache.core.MODE_TEXT])
@pytest.mark.parametrize(
    "named", ["../mine.txt", "{}/mine.txt", "fifo", "ab/cd/" + 28 * "0" + ".val"]
)
def test_an_entry_names_no_file_but_the_caches_own(tmp_path: Path, mode: int, named: str) -> None:
    """What an entry named was read, waited for where it was a pipe, and deleted with the entry."""
    mine, cache = tmp_path / "mine.txt", tmp_path / "cache"
    mine.write_text("mine")
    ResultFolder(cache, 2**24).keep("q", b"data")
    (cache / "ab" / "cd").mkdir(parents=True)
    (cache / "ab" / "cd" / (28 * "0" + ".val")).symlink_to("/dev/zero")
    os.mkfifo(cache / "fifo")
    with sqlite3.connect(cache / "cache.db") as database:
        database.execute(
            "UPDATE Cache SET mode = ?, value = NULL, filename = ?", (mode, named.format(tmp_path))
        )
    folder = ResultFolder(cache, 2**24)
    assert folder.get("q") in (None, b"")
    folder.keep("q", b"anew")
    assert folder.get("q") == b"anew"
    assert mine.read_text() == "mine" and (cache / "fifo").exists()


def test_files_of_the_folder_are_read_and_go_with_their_entries(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path, 2**24)
    folder.keep("q", bytes(10**6))
    assert folder.get("q") == bytes(10**6)
    folder.keep("q", b"small")
    assert folder.get("q") == b"small" and not list(tmp_path.rglob("*.val"))


def test_what_the_folder_has_lost_is_computed_again(tmp_path: Path) -> None:
    calls: list[int] = []
    counted = Question("f", lambda: lambda model, part: calls.append(part) or len(calls))
    info = shipped.first_view().info

    def asked() -> object:
        # As after a restart.
        with Server(Config(cache_folder=str(tmp_path))).used():
            return ask(counted, info, 1)

    assert [asked(), asked()] == [1, 1]
    question = key_text(key_of("f", info, (1,)))
    assert question
    folder = ResultFolder(tmp_path, 2**24)
    folder.keep(question, (folder.get(question) or b"")[:-3])
    assert [asked(), asked()] == [2, 2]


@pytest.mark.parametrize("info", list(shipped.bundled_models()), ids=lambda info: info.name)
def test_what_comes_with_a_model_is_what_it_computes(
    info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.compute.ask.shipped_file", lambda *_: Path("absent"))
    with Server(Config()).used():
        shipped.compute_shipped(info)
        computed = dict(remembered())
    files = list((info.folder / "views").iterdir())
    assert len(computed) == len(files)
    # What heads do over a text is large, 6 MB for all models together; all else is small.
    sizes = sorted(file.stat().st_size for file in files)
    assert sizes[-1] < 3_500_000
    assert sum(sizes[:-1]) < 130_000
    for question, value in computed.items():
        found = from_bytes(question, shipped_file(info.folder, question).read_bytes())
        if isinstance(value, analysis.HeadScores):  # a score may be newer than the file
            names = found.values.keys()
            assert {"current", "previous", "first", "duplicate", "induction", "entropy"} <= names
            value, found = (
                replace(
                    each,
                    values={name: each.values[name] for name in names},
                    spread={name: each.spread[name] for name in names},
                    chance={name: each.chance[name] for name in names},
                )
                for each in (value, found)
            )
        if isinstance(value, analysis.CorpusScan):
            alike_on_text(value, found)
            continue
        alike(value, found)


def alike_on_text(value: analysis.CorpusScan, found: analysis.CorpusScan) -> None:
    """Sums agree; which of two windows of nearly the same maximum is kept, rounding may decide."""
    for name in ("by_distance", "first_by_distance", "written_at_first", "edges"):
        np.testing.assert_allclose(
            getattr(value, name), getattr(found, name), rtol=1e-3, atol=1e-3, err_msg=name
        )
    for name, scores in value.scores.items():
        np.testing.assert_allclose(scores, found.scores[name], atol=1e-4)
    assert value.chance == pytest.approx(dict(found.chance))
    same = (value.kept_numbers == found.kept_numbers) & (value.kept == found.kept)
    assert same.mean() > 0.9
    steps = value.kept_attention[same].astype(int) - found.kept_attention[same]
    assert np.abs(steps).mean() < 1


def test_every_result_is_kept_but_for_those_with_a_reason() -> None:
    not_kept = {
        "FactoredTiming",  # measured, and only true of the machine that measured it
        "Ablation",  # pages have `HeadAblation` one by one
        "TopHeads",  # for notebooks, as is the next
        "EncoderScores",
        "MaskedLoss",  # of encoders too, quickly had
        "MaskedAblation",
        "Evidence",  # made anew of results that are kept, as is what it says
        "Passport",
        "JudgedRole",
        "PromptPair",  # a question, as are the next five
        "Note",
        "Place",
        "PromptRow",
        "PromptSet",
        "FittedSet",
        "GroupMetrics",  # in the order of its rows: for notebooks, as are the next two
        "RowValues",
        "Spread",
        "HeadModel",
        "ModelInfo",
        "Weights",
        "KeptWindow",  # part of `CorpusScan`, made of it
        "Windows",  # a question
    }
    results = {name for name in analysis.__all__ if is_dataclass(getattr(analysis, name))}
    assert set(trees.TYPES) == results - not_kept


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
