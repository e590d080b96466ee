"""Downloads that visitors share: one at a time, wanted by somebody, and their ends told once."""

import threading
import time

import pytest

from analysis.errors import AnalysisError
from app.compute.downloads import Downloads


class Fetch:
    """Stands for the transfer of models: each goes on until it is let go."""

    def __init__(self):
        self.begun, self.go, self.failure = [], threading.Event(), None

    def bring(self, name, progress):
        """Count it as begun, and report until it may end."""
        self.begun.append(name)
        while not self.go.is_set():
            progress(3, 10)
            time.sleep(0.005)
        if self.failure:
            raise self.failure
        progress(10, 10)


@pytest.fixture
def fetch():
    fetch = Fetch()
    yield fetch
    fetch.go.set()


def until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def states(downloads, visitor):
    return [(now.name, now.state) for now in downloads.look(visitor)]


def test_who_asks_for_the_same_shares_one_transfer(fetch):
    downloads = Downloads(fetch.bring)
    for visitor in ("ann", "ben"):
        downloads.ask("gpt2", visitor)
    until(lambda: [(now.done, now.total) for now in downloads.look("ann")] == [(3, 10)])
    downloads.leave("gpt2", "ann")
    time.sleep(0.05)
    # Ben still wants it, and everybody sees it come.
    assert states(downloads, "ann") == states(downloads, "cem") == [("gpt2", "running")]
    fetch.go.set()
    until(lambda: states(downloads, "ben") == [("gpt2", "done")])
    assert fetch.begun == ["gpt2"] and states(downloads, "ann") == []
    downloads.leave("gpt2", "ben")
    assert states(downloads, "ben") == []


def test_without_askers_a_transfer_stops_and_the_next_begins(fetch):
    downloads = Downloads(fetch.bring)
    downloads.ask("gpt2", "ann")
    downloads.ask("pythia-14m", "ann")
    until(lambda: fetch.begun == ["gpt2"])
    assert states(downloads, "ann") == [("gpt2", "running"), ("pythia-14m", "waiting")]
    downloads.leave("gpt2", "ann")
    until(lambda: states(downloads, "ann") == [("pythia-14m", "running")])
    downloads.leave("pythia-14m", "ann")
    until(lambda: states(downloads, "ann") == [])
    fetch.go.set()
    downloads.ask("gpt2", "ann")
    until(lambda: states(downloads, "ann") == [("gpt2", "done")])


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (AnalysisError("No hub."), "No hub."),
        (PermissionError(13, "Permission denied", "/secret"), "Permission denied"),
        (ZeroDivisionError("/secret"), "has failed"),
    ],
)
def test_a_failure_is_said_to_who_asked_and_can_be_tried_again(fetch, failure, said):
    downloads = Downloads(fetch.bring)
    fetch.failure = failure
    fetch.go.set()
    downloads.ask("gpt2", "ann")
    until(lambda: states(downloads, "ann") == [("gpt2", "failed")])
    (now,) = downloads.look("ann")
    assert said in now.refusal and "secret" not in now.refusal
    assert states(downloads, "ben") == []
    fetch.failure = None
    downloads.ask("gpt2", "ann")
    until(lambda: states(downloads, "ann") == [("gpt2", "done")])
