"""Generated links opened: no traceback, no file of this machine touched, nothing run."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from app.compute.server import Server
from tests.links import hostile_query
from tests.pages.test_pages import PAGE_NAMES, Open, expect_well, open_at

__all__ = ["open_at"]

EACH = 4
ROOT = Path(__file__).parents[2]
# Python, its packages and the app may be read while a page runs; so may what torch asks the system.
READABLE = tuple(
    str(Path(folder).resolve())
    for folder in (ROOT, sys.prefix, sys.base_prefix, Path(os.__file__).parent, "/proc", "/sys")
)
RUNS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod")


class Watch:
    """Notes what the process does to files, programs and the network while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._note)  # for good: hooks cannot be removed

    def _note(self, event: str, details: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in RUNS or event in CHANGES:
            self.seen.append(f"{event} {details}")
        elif event == "open" and isinstance(details[0], str | bytes):
            path, mode, flags = os.fsdecode(details[0]), details[1] or "", details[2] or 0
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or set(mode) & set("wax+")
            if writes or not str(Path(path).resolve()).startswith(READABLE):
                self.seen.append(f"open {path!r} {mode} {flags}")


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_loaded_in_the_background() -> Iterator[None]:
    """The first page has a model loaded while it is read, by a thread that would be watched too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Server, "warm_up", lambda server, name: None)
        yield


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_generated_links_harm_nothing(open_at: Open, watch: Watch, name: str) -> None:
    open_at(name)  # loads the model and everything else that a page needs once
    draw = random.Random(name)
    watch.seen.clear()
    watch.on = True
    try:
        for _ in range(EACH):
            link = parse_qs(hostile_query(draw, most=25), keep_blank_values=True)
            app = open_at(name, **link)
            expect_well(app)
            assert app.title
    finally:
        watch.on = False
    assert not watch.seen


def test_the_watch_sees_files_and_programs(watch: Watch, tmp_path: Path) -> None:
    watch.seen.clear()
    watch.on = True
    (tmp_path / "x").write_text("x")
    Path(os.devnull).read_bytes()  # stands for any file outside
    os.system("true")
    (tmp_path / "x").unlink()
    watch.on = False
    assert [event.split()[0] for event in watch.seen] == ["open", "open", "os.system", "os.remove"]
    watch.seen.clear()
