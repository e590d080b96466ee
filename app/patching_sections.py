"""The sections of the page on patching: what brings an answer back, and along which path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import ATTRIBUTION_PATCHING, PATCHING, PATH_PATCHING
from analysis.heads import Head
from app import backend, figures, patching_figures
from app.answer_foil import choose_answer_and_foil
from app.chips import Chip, chips_html
from app.frame import (
    METRIC,
    draw_choice,
    draw_heads_to_open,
    draw_options,
    draw_table,
    figure_frame,
    open_head,
    part,
)
from app.progress import progress_bar
from app.selection import CLEAN_PROMPT, CORRUPT_PROMPT, MAX_PATCHES, Selection, Value, choose
from app.text import display_token, markdown_text
from app.theme import Palette, palette

if TYPE_CHECKING:
    from analysis.inputs import Tokens
    from analysis.patching import PatchKind, PatchMap, PromptPair

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


@dataclass(frozen=True, slots=True)
class PairPreset:
    """Two prompts that differ in what the answer follows from."""

    title: str
    clean: str
    corrupt: str
    answer: str = ""
    foil: str = ""


_HOLMES = "Mr. Holmes rode into the town. Everybody there had heard of Mr."
_ZEBULON = "Mr. Zebulon Quixworthy rode into the town. Everybody there had heard of Mr. Zebulon"
_GIFT = "When Mary and John went to the store, John gave the bag to"
PAIR_PRESETS = (
    PairPreset("What follows “red”?", CLEAN_PROMPT, CORRUPT_PROMPT, " house", " horse"),
    PairPreset("A name that comes back", _HOLMES, _HOLMES.replace("Holmes", "Weston")),
    PairPreset("An unusual name", _ZEBULON, _ZEBULON.replace("Quixworthy", "Bartlemy")),
    PairPreset(
        "Who gets the gift? (for larger models)",
        _GIFT,
        _GIFT.replace("John gave", "Mary gave"),
        answer=" Mary",
        foil=" John",
    ),
)


@dataclass(frozen=True, eq=False)
class PatchView:
    """What every section about the two prompts needs."""

    selection: Selection
    pair: PromptPair
    estimates: dict[PatchKind, PatchMap]
    theme: Palette

    @property
    def labels(self) -> tuple[str, ...]:
        """Tokens of the clean prompt."""
        return self.pair.clean.labels[0]

    @property
    def kv_heads(self) -> int:
        """Key/value heads per layer."""
        return self.estimates["k"].values.shape[1]

    def columns(self, kind: PatchKind) -> patching_figures.Columns:
        """What the columns of the maps of a kind are."""
        return patching_figures.columns_of(
            self.estimates[kind], self.labels, self.selection.info.n_heads
        )


def draw_prompts(selection: Selection) -> PatchView | None:
    """The two prompts, their answer and foil; None if they cannot be patched."""
    with (
        figure_frame(
            "A clean and a corrupt prompt",
            "The corrupt prompt lacks what the answer follows from. Everything below asks which "
            "activations of the clean run, put into the corrupt one, bring the answer back.",
            PATCHING,
        ),
        part(),
    ):
        _draw_presets()
        left, right = st.columns(2)
        left.text_area("Clean prompt", height=100, key=selection.key("clean"))
        right.text_area("Corrupt prompt", height=100, key=selection.key("corrupt"))
        clean, corrupt = backend.patched_prompts(selection)
        _draw_strips(clean, corrupt)
        answer, foil = _answer_and_foil(selection, clean, corrupt)
        pair = backend.prompt_pair(selection, clean, corrupt, answer, foil)
        estimates = backend.attribution_patching(selection, pair)
        _draw_differences(
            pair, estimates["z"], backend.token_labels(selection, np.array([[answer], [foil]]))
        )
        return PatchView(selection, pair, estimates, palette())
    return None


def _draw_presets() -> None:
    bar = st.container(horizontal=True)
    for preset in PAIR_PRESETS:
        values: dict[str, Value] = {
            "clean": preset.clean,
            "corrupt": preset.corrupt,
            "answer": preset.answer,
            "foil": preset.foil,
            "layer": -1,
            "column": -1,
        }
        bar.button(preset.title, on_click=choose, kwargs=values)


def _draw_strips(clean: Tokens, corrupt: Tokens) -> None:
    """Both prompts as tokens, marked where they differ."""
    rows = (clean.labels[0], corrupt.labels[0])
    shared = min(map(len, rows))
    differing = [
        i for i in range(max(map(len, rows))) if i >= shared or clean.ids[0, i] != corrupt.ids[0, i]
    ]
    for name, labels in zip(("Clean", "Corrupt"), rows, strict=True):
        st.caption(f"{name}, {len(labels)} tokens")
        chips = [
            Chip(
                label,
                i in differing,
                card=[
                    (which, display_token(row[i]) if i < len(row) else "none")
                    for which, row in zip(("clean", "corrupt"), rows, strict=True)
                ],
                heading=f"position {i}",
            )
            for i, label in enumerate(labels)
        ]
        st.html(chips_html(chips, palette()))
    shown = ", ".join(map(str, differing[:12])) + (" …" if len(differing) > 12 else "")
    if differing:
        st.caption(f"Marked: the prompts differ at position{'s' * (len(differing) > 1)} {shown}.")


def _answer_and_foil(selection: Selection, clean: Tokens, corrupt: Tokens) -> tuple[int, int]:
    """What is typed, or the first tokens in which the prompts differ."""
    answer, foil = choose_answer_and_foil(
        selection,
        unless=(
            "the first token of the clean prompt that differs",
            "the first token of the corrupt prompt that differs",
        ),
    )
    shared = min(clean.length, corrupt.length)
    first = int((clean.ids[0, :shared] != corrupt.ids[0, :shared]).argmax())
    return (
        int(clean.ids[0, first]) if answer is None else answer,
        int(corrupt.ids[0, first]) if foil is None else foil,
    )


def _draw_differences(pair: PromptPair, result: PatchMap, texts: list[list[str]]) -> None:
    answer, foil = (display_token(row[0]) for row in texts)
    bar = st.container(horizontal=True)
    for name, value in (("clean", result.clean), ("corrupt", result.corrupt)):
        bar.metric(f"Logit difference, {name}", f"{value:+.2f}", border=True, width=METRIC)
    st.caption(
        markdown_text(
            f"Logit of “{answer}” minus logit of “{foil}” after the last token. A share of 1 below "
            f"is all of the difference between the two, {result.clean - result.corrupt:+.2f}."
        )
    )
    if not result.clean > 0 > result.corrupt:
        st.info(
            "This model does not answer the two prompts differently: the difference should be "
            "above 0 for the clean prompt and below 0 for the corrupt one. Read the shares with "
            "care, or take another model or pair."
        )


def draw_overview(view: PatchView) -> None:
    """Estimates of every patch of every kind."""
    with figure_frame(
        "Quick look: every patch, estimated",
        "Attribution patching: all of these from one backward pass, so none is exact. Blue brings "
        "the answer back. Click a cell to look at that kind below.",
        ATTRIBUTION_PATCHING,
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
    with (
        figure_frame(
            f"Patching {SHORT.get(kind, kind)}, exactly",
            "≈ marks an estimate; exact values replace it (in wide maps a dot marks the exact "
            "ones). Click a cell to patch it.",
            PATCHING,
            ATTRIBUTION_PATCHING,
        ),
        part(),
    ):
        st.segmented_control(
            "What is taken from the clean run",
            kinds,
            format_func=lambda name: SHORT.get(name, name),
            required=True,
            key=selection.key("patch", shown=kind),
            # A position is no head, and the other way round.
            on_change=lambda: choose(layer=-1, column=-1),
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
            key=selection.key("exact"),
        )
        if selection["exact"] == "top":
            bar.number_input(
                "How many",
                1,
                MAX_PATCHES,
                key=selection.key("top"),
                width=130,
                help="The ones of the largest estimates.",
            )
        cell = _chosen_cell(selection, estimate.values)
        exact = backend.activation_patching(selection, view.pair, kind, (cell,)).values
        with part():
            more = _run(view, kind)
            exact = np.where(np.isfinite(more), more, exact)
        draw_choice(
            patching_figures.patch_map(estimate.values, exact, columns, view.theme, cell),
            "exact",
            ("layer", "column"),
        )
        _draw_cell(view, kind, cell, exact)
        _draw_table(view, kind, exact)


def _chosen_cell(selection: Selection, values: np.ndarray) -> tuple[int, int]:
    """The link's cell, or the largest estimate, in the link's layer if it names one."""
    layer, column = selection["layer"], selection["column"]
    if column >= values.shape[1]:
        st.caption(f"There is no column {column} here, so this is the strongest.")
        column = -1
    ranked = np.array(values)
    if layer >= 0:
        ranked[np.arange(len(ranked)) != layer] = -np.inf
    if column >= 0:
        ranked[:, np.arange(ranked.shape[1]) != column] = -np.inf
    row, place = np.unravel_index(int(ranked.argmax()), ranked.shape)
    return int(row), int(place)


def _strongest(values: np.ndarray, count: int) -> list[tuple[int, int]]:
    order = np.argsort(-np.abs(values), axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, values.shape)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]


def _run(view: PatchView, kind: PatchKind) -> np.ndarray:
    """Exact values of what is asked for beside the chosen cell; NaN elsewhere."""
    selection, values = view.selection, view.estimates[kind].values
    count = {"none": 0, "top": selection["top"], "all": values.size}[selection["exact"]]
    if not count:
        return np.full_like(values, np.nan)
    with cancellable(f"Patching {SHORT.get(kind, kind)}", exact="none") as progress:
        cells = tuple(_strongest(values, count))
        return backend.activation_patching(selection, view.pair, kind, cells, progress).values


@contextmanager
def cancellable(what: str, **values: Value) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with a button that ends the work by choosing `values`."""
    place = st.empty()
    place.button(
        "Cancel",
        icon=":material/close:",
        key=f"cancel {what}",
        on_click=choose,
        kwargs=values,
    )
    with progress_bar(what) as progress:
        yield progress
    place.empty()


def _draw_cell(view: PatchView, kind: PatchKind, cell: tuple[int, int], exact: np.ndarray) -> None:
    columns = view.columns(kind)
    st.markdown(f"**{markdown_text(columns.cell(*cell))}**")
    bar = st.container(horizontal=True)
    estimate = float(view.estimates[kind].values[cell])
    bar.metric("≈ estimate", f"{estimate:+.3f}", border=True, width=METRIC)
    known = np.isfinite(exact[cell])
    bar.metric("Exact", f"{exact[cell]:+.3f}" if known else "n/a", border=True, width=METRIC)
    links = st.container(horizontal=True)
    with links:
        for head in columns.heads(*cell)[:MAX_LINKS]:
            open_head(view.selection, head)


def _draw_table(view: PatchView, kind: PatchKind, exact: np.ndarray) -> None:
    """Estimates beside exact values where there are several; the largest exact ones."""
    rows, places = np.nonzero(np.isfinite(exact))
    if len(rows) < 2:
        return
    values, columns = view.estimates[kind].values, view.columns(kind)
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


def draw_paths(view: PatchView) -> None:
    """How much of the answer comes back along each path into one head."""
    selection, info = view.selection, view.selection.info
    reader = _reader(view)
    with (
        figure_frame(
            "Which earlier head does it come through?",
            "Path patching: only the path from one earlier head to one input of the reading head "
            "is taken from the clean run. Blue: the answer comes back along it. Click a cell to "
            "open that head.",
            PATH_PATCHING,
            focus=reader,
        ),
        part(),
    ):
        if info.n_layers < 2:
            st.info("This model has one layer: no head reads what another one writes.")
            return
        if selection["reader"] not in ("", reader.label):
            st.caption(f"Nothing writes before {selection['reader']}, so this is a later head.")
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        labels = [
            Head(layer, head).label
            for layer in range(1, info.n_layers)
            for head in range(info.n_heads)
        ]
        bar.selectbox(
            "Reading head",
            labels,
            key=selection.key("reader", shown=reader.label),
            width=140,
        )
        bar.segmented_control(
            "Its input",
            ["q", "k", "v"],
            format_func={"q": "q: query", "k": "k: key", "v": "v: value"}.__getitem__,
            required=True,
            key=selection.key("into"),
        )
        bar.toggle(f"Run {reader.layer * info.n_heads:,} patches", key=selection.key("paths"))
        into, group = selection["into"], info.n_heads // view.kv_heads
        read = reader if into == "q" else Head(reader.layer, reader.head // group)
        name = f"{into} of {reader.label}"
        if into != "q" and group > 1:
            served = view.columns("k").names[read.head]
            st.caption(
                f"{reader.label} shares its {into}: the paths lead to key/value head {served} of "
                f"layer {read.layer}."
            )
        if not selection["paths"]:
            st.caption("Switch it on to run them.")
            return
        with cancellable(f"Patching paths into {name}", paths=False) as progress:
            result = backend.path_patching(selection, view.pair, read, into, progress)
        best = _strongest(np.nan_to_num(result.values), 1)[0]
        st.caption(
            f"Strongest: {Head(*best).label} to the {name}, {result.values[best]:+.3f} of the "
            "difference. All of these are exact."
        )
        draw_heads_to_open(
            figures.head_map(
                result.values, view.theme, unit="share restored", diverging=True, focus=reader
            ),
            "paths",
            selection,
        )


def _reader(view: PatchView) -> Head:
    """The link's reading head, or the one whose z restores most, after the first layer."""
    if view.selection["reader"]:
        head = Head.parse(view.selection["reader"])
        if head.layer > 0:
            return head
    values = np.array(view.estimates["z"].values)
    values[0] = -np.inf
    layer, number = np.unravel_index(int(values.argmax()), values.shape)
    return Head(int(layer), int(number))
