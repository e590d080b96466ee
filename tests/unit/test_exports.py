"""Files that visitors take along: their memory is admitted and bounded, whoever asks for them."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from streamlit.runtime.media_file_storage import MediaFileKind
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

import server
from analysis.errors import AnalysisError
from app.compute import exports
from app.compute.admission import Admission
from app.compute.exports import Exports, Taker
from app.compute.refusals import TryAgain
from app.frame.export import bytes_needed, pattern_table, to_csv, to_json
from app.shell.uploads import forget_downloads
from tests.unit.test_export import ABOUT

MB = 2**20


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "LOOK", 0.01)


class Downloads:
    """Exports of a server with 512 MB, and what Streamlit keeps them in until it tidies up."""

    def __init__(self, patience: float = 0.2):
        self.storage = MemoryMediaFileStorage("/media")
        self.tidied = 0
        self.exports = Exports(Admission(512 * MB, 2, 100), self.tidy, patience)

    def press(self, name: str, address: str | None, number: int, size: int) -> None:
        """Make a file, which differs by its number, and keep it as Streamlit does."""
        data = self.exports.make(
            Taker(name, address), 2 * size, lambda: number.to_bytes(8, "big") + bytes(size)
        )
        self.storage.load_and_get_id(data, "text/csv", MediaFileKind.DOWNLOADABLE)

    def tidy(self) -> None:
        """Nothing that may go: their visitors have just pressed."""
        self.tidied += 1

    @property
    def held(self) -> int:
        """Bytes that Streamlit keeps."""
        return sum(len(file.content) for file in self.storage._files_by_id.values())


def test_large_files_of_one_visitor_do_not_pile_up() -> None:
    """Six files of 43 MB took 1.2 GB, and nothing was refused."""
    downloads, refused = Downloads(), 0
    for number in range(6):
        try:
            downloads.press("one", "192.0.2.1", number, 20 * MB)
        except TryAgain:
            refused += 1
    assert downloads.exports.kept == downloads.held <= exports.PER_VISITOR
    assert refused and downloads.tidied
    downloads.storage._files_by_id.clear()
    assert downloads.exports.kept == 0
    downloads.press("one", "192.0.2.1", 9, 20 * MB)


def test_many_tabs_of_one_address_leave_room_for_another() -> None:
    downloads = Downloads(patience=0.02)
    for number in range(30):
        try:
            downloads.press(f"tab {number}", "192.0.2.1", number, 8 * MB)
        except TryAgain:
            break
    assert downloads.held <= exports.PER_ADDRESS
    downloads.press("other", "192.0.2.2", 99, 8 * MB)


def test_small_files_are_counted_like_large_ones() -> None:
    """A page has dozens of buttons: 200 files of 4 MB took 800 MB, and nothing was refused."""
    downloads, refused = Downloads(), 0
    for number in range(40):
        try:
            downloads.press("one", "192.0.2.1", number, 4 * MB - 1)
        except TryAgain:
            refused += 1
    assert refused and 80 * MB < downloads.held <= exports.PER_VISITOR


def test_files_that_are_made_at_once_share_the_room() -> None:
    """Each found room for itself, and only then counted."""
    many, go_on = (
        Exports(Admission(512 * MB, 8, 100), lambda: None, patience=0.1),
        threading.Event(),
    )
    begun = threading.Semaphore(0)

    def make() -> bytes:
        begun.release()
        go_on.wait(10)
        return bytes(60 * MB)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(many.make, Taker("tab", "192.0.2.1"), 120 * MB, make)
        assert begun.acquire(timeout=10)
        with pytest.raises(TryAgain):
            many.make(Taker("tab", "192.0.2.1"), 120 * MB, bytes)
        go_on.set()
        assert len(first.result(10)) == many.kept == 60 * MB


def test_all_files_together_are_bounded_and_go_when_there_is_no_room() -> None:
    downloads = Downloads()
    downloads.exports._tidy = downloads.storage._files_by_id.clear
    for number in range(40):
        downloads.press(f"tab {number}", f"192.0.2.{number}", number, 8 * MB)
        assert downloads.held <= exports.IN_ALL


def test_files_are_admitted_like_everything_that_takes_memory() -> None:
    admission = Admission(100 * MB, 2, 100)
    small = Exports(admission, lambda: None)
    with pytest.raises(AnalysisError, match="about 200 MB of memory"):
        small.make(Taker("one", None), 200 * MB, bytes)
    started, go_on = threading.Event(), threading.Event()

    def make() -> bytes:
        started.set()
        go_on.wait(10)
        return b"made"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(small.make, Taker("one", None), 60 * MB, make)
        assert started.wait(10)
        second = pool.submit(small.make, Taker("two", None), 60 * MB, lambda: b"second")
        with pytest.raises(TimeoutError):
            second.result(0.1)
        go_on.set()
        assert (first.result(10), second.result(10)) == (b"made", b"second")


def test_large_files_wait_in_few_threads_and_small_ones_in_none() -> None:
    waiting, go_on = Exports(Admission(512 * MB, 8, 100), lambda: None), threading.Event()
    begun = threading.Semaphore(0)

    def make() -> bytes:
        begun.release()
        go_on.wait(10)
        return b""

    with ThreadPoolExecutor(8) as pool:
        large = [
            pool.submit(waiting.make, Taker(f"tab {i}", "192.0.2.1"), exports.LARGE, make)
            for i in range(exports.LARGE_OF_ONE)
        ]
        for _ in large:
            assert begun.acquire(timeout=10)
        with pytest.raises(TryAgain, match="Many files are being made"):
            waiting.make(Taker("tab", "192.0.2.1"), exports.LARGE, bytes)
        assert waiting.make(Taker("other", "192.0.2.2"), exports.LARGE, lambda: b"x") == b"x"
        assert waiting.make(Taker("tab", "192.0.2.1"), 1000, lambda: b"y") == b"y"
        go_on.set()
        assert [each.result(10) for each in large] == [b"", b""]


def test_a_file_that_fails_leaves_nothing_behind() -> None:
    fails = Exports(Admission(100 * MB, 1, 10), lambda: None)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            fails.make(Taker("one", "192.0.2.1"), 60 * MB, lambda: 1 // 0)
    assert (fails.kept, fails._made) == (0, {})
    assert fails.make(Taker("one", "192.0.2.1"), 60 * MB, lambda: b"x") == b"x"


@pytest.mark.parametrize("kind", ["CSV", "JSON"])
def test_a_table_takes_no_more_memory_than_is_admitted(kind: str) -> None:
    """A list of all rows and its text took 15 times the file."""
    labels = [f"token{i}" for i in range(150)]
    names = [f"L{i // 4}H{i % 4}" for i in range(8)]
    table = pattern_table(np.random.default_rng(0).random((8, 150, 150)), names, labels)
    peaks = []
    for _ in range(3):  # other threads allocate as well
        tracemalloc.start()
        data = to_csv(table) if kind == "CSV" else to_json(table, ABOUT)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(data) > 3 * MB
    assert min(peaks) <= bytes_needed(kind, table)


def test_the_app_lets_streamlit_tidy_up() -> None:
    assert server.server.tidy is forget_downloads
    forget_downloads()  # without a running server there is nothing to do
