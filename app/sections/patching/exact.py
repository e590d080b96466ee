"""Exact patches, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import ATTRIBUTION_PATCHING, PATCHING
from app.compute import calls
from app.figures import patching as patching_figures
from app.figures.patching import restored, unit_of
from app.frame.clicks import draw_choice, draw_options, open_head
from app.frame.frame import Metric, draw_metrics, draw_table, figure_frame, part
from app.links.parameters import MAX_PATCHES
from app.links.selection import Selection
from app.links.session import choose, widget_key
from app.sections.patching.prompts import PatchView
from app.sections.shared.cancel import cancellable
from app.text import markdown_text

if TYPE_CHECKING:
    from analysis.effects.patching import PatchKind


NAMES: dict[PatchKind, str] = {**patching_figures.BY_POSITION, **patching_figures.BY_HEAD}
SHORT: dict[PatchKind, str] = {
    "resid_pre": "resid_pre",
    "attn_out": "attention out",
    "mlp_out": "MLP out",
}
# Rows of the table of estimates beside exact values.
MAX_ROWS = 20
# More links to heads than these, of those that share a key, do not fit into a line.
MAX_LINKS = 4


def draw_overview(view: PatchView) -> None:
    """Estimates of every patch of every kind."""
    with figure_frame(
        view.subject,
        "Quick look: every patch, estimated",
        "Attribution patching: all of these from one backward pass, so none is exact. Blue brings "
        "the answer back.",
        ATTRIBUTION_PATCHING,
        acts="Click a cell to look at that kind below.",
    ):
        for key, names in (
            ("by position", patching_figures.BY_POSITION),
            ("by head", patching_figures.BY_HEAD),
        ):
            figure, options = patching_figures.overview(
                view.estimates, names, view.labels, view.selection.info.n_heads, view.theme
            )
            draw_options(figure, key, options)
        if view.kv_heads < view.selection.info.n_heads:
            group = view.selection.info.n_heads // view.kv_heads
            st.caption(
                f"k and v are those of {view.kv_heads} key/value heads, each of which serves "
                f"{group} query heads."
            )


def draw_exact(view: PatchView) -> None:
    """One kind of patch: estimates, and exact values for those that are asked for."""
    selection = view.selection
    kinds = [kind for kind in NAMES if kind in view.estimates]
    kind: PatchKind = selection["patch"] if selection["patch"] in kinds else "z"
    estimate, columns = view.estimates[kind], view.columns(kind)
    cell = _chosen_cell(selection, restored(estimate))
    by_head = columns.heads(*cell)
    with (
        figure_frame(
            replace(
                view.subject,
                activation=kind,
                head=by_head[0] if len(by_head) == 1 else None,
                layer=cell[0],
                column=cell[1],
            ),
            f"Patching {SHORT.get(kind, kind)}, exactly",
            "≈ marks an estimate; exact values replace it (in wide maps a dot marks the exact "
            "ones).",
            PATCHING,
            ATTRIBUTION_PATCHING,
            acts="Click a cell to patch it.",
        ),
        part(),
    ):
        st.segmented_control(
            "What is taken from the clean run",
            kinds,
            format_func=lambda name: SHORT.get(name, name),
            required=True,
            key=widget_key(selection, "patch", shown=kind),
            # A position is no head, and the other way round.
            on_change=lambda: choose(layer=None, column=None),
        )
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        bar.segmented_control(
            "Run the patches",
            ["none", "top", "all"],
            format_func={
                "none": "Only the chosen cell",
                "top": "The strongest",
                "all": f"All {estimate.values.size:,}",
            }.__getitem__,
            required=True,
            key=widget_key(selection, "exact"),
        )
        if selection["exact"] == "top":
            bar.number_input(
                "How many",
                1,
                MAX_PATCHES,
                key=widget_key(selection, "top"),
                width=130,
                help="The ones of the largest estimates.",
            )
        _explain_cell(selection, restored(estimate))
        exact = restored(calls.activation_patching(selection, view.pair, kind, (cell,)))
        with part():
            more = _run(view, kind)
            exact = np.where(np.isfinite(more), more, exact)
        draw_choice(
            patching_figures.patch_map(
                restored(estimate), exact, columns, view.theme, cell, unit_of(estimate)
            ),
            "exact",
            ("layer", "column"),
        )
        _draw_cell(view, kind, cell, exact)
        _draw_table(view, kind, exact)


def _chosen_cell(selection: Selection, values: np.ndarray) -> tuple[int, int]:
    """The link's cell, or the largest estimate, in the link's layer if it names one."""
    layer, column = selection["layer"], selection["column"]
    if column is not None and column >= values.shape[1]:
        column = None
    ranked = np.array(values)
    if layer is not None:
        ranked[np.arange(len(ranked)) != layer] = -np.inf
    if column is not None:
        ranked[:, np.arange(ranked.shape[1]) != column] = -np.inf
    row, place = np.unravel_index(int(ranked.argmax()), ranked.shape)
    return int(row), int(place)


def _explain_cell(selection: Selection, values: np.ndarray) -> None:
    """Say so where the link's column is not there."""
    column = selection["column"]
    if column is not None and column >= values.shape[1]:
        st.caption(f"There is no column {column} here, so this is the strongest.")


def strongest(values: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The cells with the largest values, either way."""
    order = np.argsort(-np.abs(values), axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, values.shape)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]


def _run(view: PatchView, kind: PatchKind) -> np.ndarray:
    """Exact values of what is asked for beside the chosen cell; NaN elsewhere."""
    selection, values = view.selection, restored(view.estimates[kind])
    count = {"none": 0, "top": selection["top"], "all": values.size}[selection["exact"]]
    if not count:
        return np.full_like(values, np.nan)
    with cancellable(f"Patching {SHORT.get(kind, kind)}", exact="none") as progress:
        cells = tuple(strongest(values, count))
        return restored(calls.activation_patching(selection, view.pair, kind, cells, progress))


def _draw_cell(view: PatchView, kind: PatchKind, cell: tuple[int, int], exact: np.ndarray) -> None:
    columns = view.columns(kind)
    st.markdown(f"**{markdown_text(columns.cell(*cell))}**")
    estimate, value = float(restored(view.estimates[kind])[cell]), float(exact[cell])
    known = np.isfinite(value)
    draw_metrics(
        [
            Metric("≈ estimate", estimate, f"{estimate:+.3f}"),
            Metric("Exact", value if known else None, f"{value:+.3f}" if known else "n/a"),
        ],
        "cell",
    )
    links = st.container(horizontal=True)
    with links:
        for head in columns.heads(*cell)[:MAX_LINKS]:
            open_head(view.selection, head)


def _draw_table(view: PatchView, kind: PatchKind, exact: np.ndarray) -> None:
    """Estimates beside exact values where there are several; the largest exact ones."""
    rows, places = np.nonzero(np.isfinite(exact))
    if len(rows) < 2:
        return
    values, columns = restored(view.estimates[kind]), view.columns(kind)
    order = np.argsort(-np.abs(exact[rows, places]), kind="stable")[:MAX_ROWS]
    cells = [(int(rows[i]), int(places[i])) for i in order]
    error = float(np.abs(exact - values)[rows, places].max())
    st.caption(
        f"{len(rows):,} exact patches, the largest {len(cells)} listed. The estimate is off by at "
        f"most {error:.3f}."
    )
    draw_table(
        [
            {
                "Patch": columns.cell(*cell),
                "Exact": float(exact[cell]),
                "≈ estimate": float(values[cell]),
                "Estimate − exact": float(values[cell] - exact[cell]),
            }
            for cell in cells
        ],
        "patches",
        {
            name: st.column_config.NumberColumn(format="%+.3f")
            for name in ("Exact", "≈ estimate", "Estimate − exact")
        },
    )
