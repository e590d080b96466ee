"""The frames that a page draws, caught on the way to the screen."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.heads.corpus.texts import shipped_text
from app.compute.texts import Text
from app.frame import frame as frame_module
from app.frame.export import Frame
from app.sections import composition
from app.sections.ablation import joint, offsets, repeats
from app.sections.corpus import source
from tests.pages.test_pages import Open, expect_well

Frames = Callable[..., list[Frame]]
CHARACTERS = 20_000
# Seconds for the sweep of a small model.
PATIENCE = 60.0


@pytest.fixture
def frames_of(open_at: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Frames:
    """`frames_of(page, **query)`: every frame of the page, with long work done unasked.

    The text of `/corpus` is the beginning of its own: the code of a figure runs over all of it.
    """
    drawn: list[Frame] = []
    text = shipped_text()[:CHARACTERS]
    (tmp_path / "beginning.txt").write_text(text, "utf-8")
    beginning = Text("The beginning", (text,), str(tmp_path / "beginning.txt"))
    monkeypatch.setattr(source, "shipped", lambda: beginning)
    monkeypatch.setattr(frame_module, "_draw_tools", lambda frame, place: drawn.append(frame))
    for module in (joint, offsets, repeats):
        monkeypatch.setattr(module, "asked_for", lambda *_: True)
    monkeypatch.setattr(composition, "wanted", lambda *_: True)

    def frames(page: str, **query: str) -> list[Frame]:
        app = open_at(page, **query)
        expect_well(app)
        end = time.monotonic() + PATIENCE
        while page in ("ablation", "corpus") and app.get("progress"):
            assert time.monotonic() < end
            app.run()
        drawn.clear()
        app.run()
        expect_well(app)
        return list(drawn)

    return frames
