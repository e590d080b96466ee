"""A text being read: figures from the first second, which sharpen until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.compute import calls
from app.compute.texts import Text
from app.links.selection import Selection
from app.links.session import newly_chosen
from app.pickers.heads import completed, pick_head
from app.sections.corpus.statistics import draw_comparison, draw_statistics
from app.sections.corpus.view import CorpusView
from app.sections.corpus.windows import choose_order, draw_best, draw_rest
from app.shell.theme import palette
from app.shell.watching import draw_status, forget_failure, is_awaited, time_left, watch

if TYPE_CHECKING:
    from analysis.heads.corpus.results import CorpusScan
    from app.compute.background import Shared, Snapshot

# Seconds between two looks.
INTERVAL = 1.0
# Seconds that a reading is awaited: a page that is drawn twice at once flickers.
AT_ONCE = 0.5


def draw_reading(selection: Selection, text: Text) -> None:
    """All that is known of the head in focus over the text."""
    known = calls.known_scan(selection, text)
    induction = known.scores["induction"] if known else calls.reference_scores(selection).induction
    head = pick_head(selection, "Head", completed(selection, "layer", "head", induction))

    def draw(scan: CorpusScan, whole: bool) -> None:
        view = CorpusView(selection, text, head, scan, whole, palette())
        draw_comparison(view)
        windows = choose_order(view)
        draw_best(view, windows)
        draw_statistics(view)
        draw_rest(view, windows)

    if known:
        st.container()  # where the status was, so that the figures keep their place
        draw(known, whole=True)
        return
    job = calls.corpus_scan(selection, text)
    now = watch(job, patience=AT_ONCE)
    if now.failure:
        forget_failure(job)
        raise now.failure
    reading = is_awaited(job, now)

    def look() -> None:
        now = watch(job)
        if reading != is_awaited(job, now) or newly_chosen():
            st.rerun()
        with st.container():
            _draw_status(job, now)
        if now.step:
            draw(now.step.value, whole=False)

    st.fragment(look, run_every=INTERVAL if reading else None)()


def _draw_status(job: Shared[CorpusScan], now: Snapshot[CorpusScan]) -> None:
    done, total = (now.step.done, now.step.total) if now.step else (0, 0)
    read = f"{done} of {total} windows, in random order" if total else "no window yet"
    said = f"Read: {read}{time_left(now.seconds_left)}. The figures sharpen as it goes on."
    if now.state == "waiting":
        said = f"Other texts are being read; until its turn: {read}."
    stopped = f"Cancelled: {read}. The figures are of a fair sample of the text."
    draw_status(job, done / total if total else 0.0, said, stopped)
