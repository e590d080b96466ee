"""Checkpoints that a model's authors publish: which are here, adding some, and what they show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from analysis.definitions import SCORES
from analysis.models.catalog import checkpoints, finished_model, published_steps
from analysis.models.download import addable_steps
from analysis.models.history import HeadHistory
from analysis.models.info import ModelInfo
from analysis.runs.results import HeadScores
from app.compute import calls
from app.compute.downloads import Download
from app.compute.server import current_server
from app.config import settings
from app.frame.frame import part
from app.sections.training.history import model_at
from app.shell.visitors import visitor_name
from app.text import markdown_text

# What is asked for at once: some hundred MB of the smallest model.
MOST_AT_ONCE = 8
# Offered first: the untrained model, several around the forming of induction heads, and later ones.
SUGGESTED = (0, 256, 512, 1000, 2000, 4000, 16000, 64000)
_MB = 10**6


def draw_checkpoints(info: ModelInfo) -> None:
    """Which checkpoints of a model are here, and more of them to fetch."""
    model = finished_model(info)
    *steps, last = published_steps(model)
    here = checkpoints(model)
    with st.container(border=True):
        named = "".join(f"{step:,}, " for step in here)
        st.markdown(
            f"The authors of {markdown_text(model.title)} publish it at {len(steps) + 1} steps of "
            f"its training. Here: {named}{last:,} (finished)."
        )
        if not settings().downloads:
            st.caption("Downloads are switched off on this server.")
            return
        with part():
            missing = [step for step in addable_steps(model) if step not in here]
            awaited = any(download.active for download in _under_way(model))
            # By itself, so that the figures are not drawn anew every second.
            st.fragment(_draw_adding, run_every=1.0 if awaited else None)(model, missing, awaited)


def computed_history(info: ModelInfo) -> HeadHistory | None:
    """The scores of the checkpoints that are here; None, with a bar, while some are computed."""
    steps, infos = _here(info)
    known = calls.mosaic(infos)
    if any(scores is None for scores in known.values()):
        st.fragment(_draw_progress, run_every=1.0)(infos)
        return None
    for refusal in filter(lambda each: isinstance(each, str), known.values()):
        st.text(f"⚠ {refusal}")
    found = {
        step: scores
        for step, each in zip(steps, infos, strict=True)
        if isinstance(scores := known[each.name], HeadScores)
    }
    if not found:
        return None
    return HeadHistory(
        steps=np.array(list(found)),
        scores={name: np.stack([each[name] for each in found.values()]) for name in SCORES},
    )


def _here(info: ModelInfo) -> tuple[tuple[int, ...], list[ModelInfo]]:
    steps = (*checkpoints(info), published_steps(info)[-1])
    return steps, [model_at(info, step) for step in steps]


def _under_way(model: ModelInfo) -> list[Download]:
    mine = f"{model.name}@"
    seen = current_server().downloads.look(visitor_name())
    return [each for each in seen if each.name.startswith(mine)]


def _draw_progress(infos: Sequence[ModelInfo]) -> None:
    known = calls.mosaic(infos)
    done = sum(scores is not None for scores in known.values())
    if done == len(known):
        st.rerun()
    st.progress(done / len(known), f"Scores of {done} of {len(known)} checkpoints")


def _draw_adding(model: ModelInfo, missing: Sequence[int], awaited: bool) -> None:
    """A choice of checkpoints to fetch, or how far those are that have been asked for."""
    under_way = _under_way(model)
    failed = [download for download in under_way if download.state == "failed"]
    active = [download for download in under_way if download.active]
    if failed:
        _leave(active)  # they would fail in the same way, one after the other
    if awaited and not active:
        st.rerun()  # there are more checkpoints, or a reason why not
    for download in failed[:1]:
        st.text(f"⚠ {download.refusal}")
    if active:
        _draw_fetching(under_way, active)
    elif missing:
        _draw_choice(model, missing, under_way)


def _draw_choice(model: ModelInfo, missing: Sequence[int], ended: Sequence[Download]) -> None:
    chosen = st.multiselect(
        "Add checkpoints, by training step",
        missing,
        [step for step in SUGGESTED if step in missing],
        format_func=lambda step: f"{step:,}",
        max_selections=MOST_AT_ONCE,
        # Starts again with what is left to suggest when there are more.
        key=f"checkpoints {model.name} {len(missing)}",
    )
    size = f" {len(chosen)}, about {len(chosen) * model.download_mb:,} MB" if chosen else ""
    if st.button(
        f"Download{size}",
        icon=":material/download:",
        disabled=not chosen,
        key="download checkpoints",
    ):
        _leave(ended)
        for step in sorted(chosen):
            current_server().downloads.ask(f"{model.name}@{step}", visitor_name())
        st.rerun()  # from now on they are awaited


def _draw_fetching(under_way: Sequence[Download], active: Sequence[Download]) -> None:
    now = active[0]
    at = f"step {int(now.name.partition('@')[2]):,}"
    share = min(now.done / now.total, 1.0) if now.total else 0.0
    done = len(under_way) - len(active)
    size = f"{now.done / _MB:,.0f} of {now.total / _MB:,.0f} MB"
    st.progress(
        (done + share) / len(under_way),
        f"{done} of {len(under_way)} checkpoints; "
        + (f"{at}: {size}" if now.state == "running" else f"{at} waits its turn"),
    )
    st.button("Cancel", key="cancel checkpoints", on_click=_leave, args=(active,))


def _leave(those: Sequence[Download]) -> None:
    for download in those:
        current_server().downloads.leave(download.name, visitor_name())
