"""Figures of a page as files, drawn without a screen by the page itself."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from streamlit.logger import set_log_level
from streamlit.testing.v1 import AppTest
from tqdm import tqdm

from analysis.errors import AnalysisError
from app.compute.server import Server, install
from app.config import ConfigError, settings
from app.frame.export import Exhibit, Frame, exhibit_files, file_name, file_of
from app.frame.frame import KEPT
from app.links.pages import page_info
from app.links.parameters import BY_KEY
from app.links.session import STATE
from app.text import display_text
from app.theme import LIGHT
from headscope.opening import View, address_of, read_view
from headscope.picture import draw_png
from headscope.place import ROOT

# Seconds for a page, and between two looks at what it works out in the background.
_RUN, _LOOK = 3600, 0.5
# What a page's remarks begin with.
_MARK = "⚠ "
# Characters of what a mistake of ours says of itself, in the sentence about it.
_LONGEST = 300
# Where a page of its own leads back to: the app as `headscope` serves it.
_HOME = "http://127.0.0.1:8501"

Figure = tuple[Frame, Exhibit]


def export(view: str, kind: str, figure: str | None, output: str | None) -> int:
    """Write one figure of a page, or every one into a folder.

    Args:
        view: A link, or the last part of one.
        kind: One of the kinds of `app.frame.export.MIME`, or PNG: a picture of the HTML.
        figure: The name of a figure; needed where the page has several, unless all are written.
        output: A file or a folder; None: the file goes to standard output.

    Raises:
        AnalysisError: No such view, figure or form of it, or no browser that draws a PNG.
    """
    page, link = read_view(view)
    figures = drawn_figures((page, link))
    folder = Path(output) if output and Path(output).is_dir() else None
    chosen = _chosen(figures, figure, every=folder is not None)
    made = {name: _file(*each, kind) for name, each in chosen.items()}
    missing = [name for name, make in made.items() if make is None]
    if missing and (folder is None or len(missing) == len(made)):
        raise AnalysisError(f"{missing[0]} has no form of the kind {kind}.")
    for each, make in zip(chosen.values(), made.values(), strict=True):
        if make is None:
            continue
        target = folder / _name(*each, kind) if folder else Path(output) if output else None
        if target is None:
            sys.stdout.buffer.write(make())
            continue
        target.write_bytes(make())
        print(f"Wrote {display_text(str(target))}", file=sys.stderr)
    return 0


def drawn_figures(view: View) -> dict[str, Figure]:
    """What can be taken along from a page, by name: run until nothing is under way in it.

    Raises:
        AnalysisError: The page shows nothing that can be exported, or fails.
    """
    page, link = view
    _serve()
    app = AppTest.from_file(ROOT / "streamlit_app.py", default_timeout=_RUN)
    frames: list[Frame] = []
    app.session_state[KEPT] = frames
    for key, text in link.items():
        app.query_params[key] = text
    if page != "start":
        app.switch_page(str(page_info(page).file))
    with _mistakes() as mistakes:
        app.run()
        _await(app, frames)
    if app.exception or app.error:
        shown = [f"{each.value}" for each in (*app.exception, *app.error)]
        what = [f"{type(each).__name__}: {each}" for each in mistakes[-1:]] or shown[:1]
        raise AnalysisError(
            f"The page has failed on this view ({what[0][:_LONGEST]}). That is a mistake of "
            "Headscope's; the log above says where."
        ) from (mistakes[-1] if mistakes else None)
    _require_view(app, link)
    figures: dict[str, Figure] = {}
    for frame in frames:
        for exhibit in frame.exhibits:
            figures[exhibit.name] = frame, exhibit
    if not figures:
        raise AnalysisError("That page has no figure on this view that could be exported.")
    return figures


def _await(app: AppTest, frames: list[Frame]) -> None:
    """Run a page again until nothing is under way in it."""
    with tqdm(total=100, desc="Working", unit="%", file=sys.stderr, disable=None) as bar:
        until = time.monotonic() + _RUN
        while under_way := app.get("progress"):
            if time.monotonic() > until:
                raise AnalysisError("The page still works after an hour. Take a shorter text.")
            bar.update(min(each.proto.value for each in under_way) - bar.n)
            time.sleep(_LOOK)
            frames.clear()
            app.run()


@contextmanager
def _mistakes() -> Iterator[list[BaseException]]:
    """What the app logs of itself meanwhile: on the page it only apologises."""
    seen: list[BaseException] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1]:
                seen.append(record.exc_info[1])

    listening, log = Listening(logging.ERROR), logging.getLogger("headscope")
    log.addHandler(listening)
    try:
        yield seen
    finally:
        log.removeHandler(listening)


def _require_view(app: AppTest, link: Mapping[str, str]) -> None:
    """Nothing, for a page that shows what it was asked for; what it says beside goes to stderr."""
    said = [text.value for text in app.text if text.value.startswith(_MARK)]
    remarks = [display_text(each.removeprefix(_MARK)) for each in said]
    shown = app.session_state[STATE].selection
    if any(BY_KEY[key].text(shown[key]) != text for key, text in link.items()):
        raise AnalysisError(" ".join(remarks) or "The page does not show this view.")
    for remark in remarks:
        print(remark, file=sys.stderr)


def _serve() -> None:
    try:
        install(Server(settings()))
    except ConfigError as error:
        raise AnalysisError(str(error)) from error
    # Of a page that nobody sees it warns at every turn.
    set_log_level("error")


def _chosen(figures: dict[str, Figure], name: str | None, every: bool) -> dict[str, Figure]:
    if name in figures:
        return {name: figures[name]}
    if name is None and (every or len(figures) == 1):
        return figures
    there = ", ".join(f"“{each}”" for each in figures)
    what = "Which figure?" if name is None else "There is no such figure."
    how = "Name one with --figure, or let -o name a folder for all of them"
    raise AnalysisError(f"{what} {how}: {there}.")


def _file(frame: Frame, exhibit: Exhibit, kind: str) -> Callable[[], bytes] | None:
    about = frame.about(exhibit)
    link = f"{_HOME}{address_of(about.subject.selection.page, about.view)}"
    name = file_name(about.subject, exhibit.name)
    files = exhibit_files(exhibit, about, LIGHT, name, link)
    if kind == "PNG":
        page = files.get("HTML")
        return (lambda: draw_png(page())) if page else None
    return files.get(kind)


def _name(frame: Frame, exhibit: Exhibit, kind: str) -> str:
    name = file_name(frame.about(exhibit).subject, exhibit.name)
    return f"{name}.png" if kind == "PNG" else file_of(name, kind)
