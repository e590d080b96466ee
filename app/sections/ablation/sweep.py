"""Every head ablated by itself: an estimate of all at once, then exact values one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import ABLATION, ABLATION_ESTIMATE, TOKEN_ABLATION
from analysis.head import Head
from analysis.limits import USUAL_BATCH, USUAL_HALF, sweep_seconds
from app.compute import calls
from app.figures import ablation as ablation_figures
from app.figures import base as figures
from app.frame.clicks import draw_choice, draw_head_map, open_head
from app.frame.frame import draw, draw_table, figure_frame
from app.frame.layout import beside
from app.links.fits import longest_half
from app.links.parameters import BY_KEY
from app.links.session import choose, newly_chosen
from app.pickers.heads import completed
from app.sections.ablation.quality import agreement_said, farthest_said
from app.sections.ablation.subject import AblationView
from app.shell.watching import draw_status, forget_failure, is_awaited, time_left, watch
from app.text import display_token

if TYPE_CHECKING:
    from app.compute.sweeps import SharedSweep, Snapshot

MOST_IMPORTANT = 20
# What decides how many tokens a sweep runs on.
SIZE = ("length", "batch")
# Seconds between two looks at a sweep that is under way: so many looks, within these bounds. Each
# draws all heads anew, on a core that the sweep would use.
LOOKS, INTERVAL, LONGEST_INTERVAL = 15, 0.7, 3.0


def draw_sweep(view: AblationView) -> np.ndarray:
    """The map, the ranking, the tokens that need one head, and the estimate's errors.

    Returns what is known of every head's effect, [layer, head]; the estimate where nothing is.
    """
    if view.known.failure:
        forget_failure(view.sweep)
        raise view.known.failure
    with st.container():  # in every run, so that what follows keeps its place
        _draw_size(view)
    estimate = calls.ablation_estimate(view.selection, view.method).values

    def found() -> None:
        now = watch(view.sweep)
        # The whole page: its other sections wait for this one and follow the head in focus.
        if view.sweeping != is_awaited(view.sweep, now) or newly_chosen():
            st.rerun()
        with st.container():  # in every run, as above
            _draw_status(view.sweep, now, estimate.size)
        _draw_found(view, estimate, now.values(view.selection.info))

    info, tokens = view.selection.info, view.tokens.ids.size
    seconds = sweep_seconds(len(view.every_head), info.operations, tokens)
    interval = min(max(seconds / LOOKS, INTERVAL), LONGEST_INTERVAL)
    st.fragment(found, run_every=interval if view.sweeping else None)()
    return _merged(estimate, view.known.values(view.selection.info))


def _draw_size(view: AblationView) -> None:
    """Where the page begins with few tokens because the model is large: that, and more of them."""
    selection, info = view.selection, view.selection.info
    begun = {key: BY_KEY[key].default_on("ablation", info.name) for key in SIZE}
    sized = selection["input"] == "repeated" and begun == {key: selection[key] for key in SIZE}
    if not sized or begun["batch"] == USUAL_BATCH:
        return

    def minutes(tokens: int) -> str:
        seconds = sweep_seconds(len(view.every_head), info.operations, tokens)
        return f"{max(1, round(seconds / 60))} min"

    bar = st.container(horizontal=True, vertical_alignment="center")
    bar.caption(
        f"The model is large, so the page begins with {selection['batch']} sequences of "
        f"{view.tokens.length} tokens: all {len(view.every_head)} heads take about "
        f"{minutes(view.tokens.ids.size)}."
    )
    half = min(USUAL_HALF, longest_half(info))
    more = minutes(USUAL_BATCH * (2 * half + 1))
    bar.button(
        f"Take {USUAL_BATCH} sequences of {2 * half + 1} tokens (about {more})",
        on_click=choose,
        kwargs={"length": half, "batch": USUAL_BATCH},
    )


def _draw_status(sweep: SharedSweep, now: Snapshot, total: int) -> None:
    done = len(now.found)
    if done == total:
        return
    left = time_left(now.seconds_left)
    said = f"{done} of {total} heads exact{left}; the others are estimates"
    if now.state == "waiting":
        said = "Other sweeps are under way; until this one's turn all values are estimates"
    stopped = f"Cancelled: {done} of {total} heads are exact, the others are estimates."
    draw_status(sweep, done / total, said, stopped)


def _merged(estimate: np.ndarray, exact: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(exact), estimate, exact)


def _draw_found(view: AblationView, estimate: np.ndarray, exact: np.ndarray) -> None:
    values = _merged(estimate, exact)
    focus = completed(view.selection, "layer", "head", values)
    chosen = calls.head_ablation(view.selection, focus, view.method)
    with figure_frame(
        view.subject,
        "Loss increase without each head",
        f"Nats per token over {view.where}; the loss with all heads is {chosen.clean_loss:.3f}. "
        "Blue: the model needs the head. A ring and ≈ mark an estimate, until the exact value is "
        "known.",
        ABLATION,
        ABLATION_ESTIMATE,
        acts="Click a cell to put a head in focus.",
    ):
        draw_head_map(
            ablation_figures.effect_map(estimate, exact, view.theme, focus=focus), key="map"
        )
        if agreement := agreement_said(estimate, exact):
            st.caption(agreement)
    left, right = beside("effects", 300, 460)
    with left:
        _draw_ranking(view, estimate, exact)
    with right:
        _draw_per_token(view, focus, chosen.per_token)
    _draw_scatter(view, focus, estimate, exact)


def _draw_ranking(view: AblationView, estimate: np.ndarray, exact: np.ndarray) -> None:
    with figure_frame(
        view.subject,
        "Most needed heads",
        "Largest loss increase first, in nats.",
        ABLATION,
        ABLATION_ESTIMATE,
    ):
        known = ~np.isnan(exact)
        # Exact values first: an estimate may be far too high.
        order = np.lexsort((-_merged(estimate, exact).ravel(), ~known.ravel()))
        ranking = [view.every_head[i] for i in order[:MOST_IMPORTANT]]
        number = st.column_config.NumberColumn(format="%+.3f")
        draw_table(
            [
                {
                    "Head": head.label,
                    "Exact": float(exact[at]) if known[at] else None,
                    "Estimate": float(estimate[at]),
                }
                for head in ranking
                for at in [(head.layer, head.head)]
            ],
            "ranking",
            {"Exact": number, "Estimate": number},
            height=420,
            placeholder="…",
        )


def _draw_per_token(view: AblationView, focus: Head, effect: np.ndarray) -> None:
    largest = int(np.argmax(effect))
    labels = view.tokens.labels[0] if view.tokens.batch == 1 else None
    token = f" “{display_token(labels[largest + 1])}”" if labels else ""
    with figure_frame(
        replace(view.subject, head=focus),
        f"Which tokens need {focus.label}",
        f"Loss increase at each prediction; largest for token {largest + 1}{token}, "
        f"{effect[largest]:+.2f} nats.",
        TOKEN_ABLATION,
    ):
        half = view.tokens.half_length
        draw(figures.effect_line(effect, labels, half, view.theme), key="per-token")
        open_head(view.selection, focus)


def _draw_scatter(view: AblationView, focus: Head, estimate: np.ndarray, exact: np.ndarray) -> None:
    known = ~np.isnan(exact)
    with figure_frame(
        view.subject,
        "Where the estimate is wrong",
        "Each dot is a head whose exact value is known. The estimate follows the slope of the "
        "loss in a straight line; on the dashed line it is right.",
        ABLATION_ESTIMATE,
        ABLATION,
        acts="Click a dot to put its head in focus.",
    ):
        if known.sum() < 2:
            st.caption("Exact values are on their way.")
            return
        st.caption(farthest_said(estimate, exact))
        draw_choice(
            ablation_figures.estimate_scatter(estimate, exact, view.theme, focus=focus),
            "estimates",
            ("layer", "head"),
        )
