"""The sections of the page on composition: which heads read which, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import (
    COMPOSITION,
    COMPOSITION_BASELINE,
    DECOMPOSITION,
    SCORES,
    TARGETED_ABLATION,
)
from analysis.errors import AnalysisError
from analysis.head import Head
from app.components.progress import wanted
from app.compute import calls
from app.figures import base as figures
from app.figures import composition as composition_figures
from app.figures import graph as graph_figures
from app.frame.clicks import draw_choice, draw_head_graph, open_head
from app.frame.export import Exhibit, Table, table_body
from app.frame.frame import draw, figure_frame, offer, part
from app.frame.layout import METRIC
from app.links.parameters import MAX_JOINT, MAX_PAIRS
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.heads import INDUCTION
from app.pickers.sequence import choose_sequence
from app.sections.shared.cancel import stoppable
from app.shell.theme import palette
from app.text import within

if TYPE_CHECKING:
    from analysis.circuits.composition import Composition

KINDS = {"Q": "queries", "K": "keys", "V": "values"}
# What a click on a pair of heads chooses: first the writer, then the reader.
PAIR = ("layer2", "head2", "layer", "head")
# Below this there is no stripe that an ablation could break.
A_STRIPE = 0.1
MAX_SOURCES = 24  # rows of the map of all stripes


def draw_pairs(selection: Selection, writer: Head, reader: Head) -> None:
    """The scores of all pairs, their baseline, and the strongest as a graph."""
    kind = selection["kind"]
    with (
        figure_frame(
            Subject(selection, on_input=False),
            "Composition scores of every pair of heads",
            "Blue: the later head reads what the earlier one writes, more than random heads would; "
            "no colour is the mean of random pairs, red is less.",
            COMPOSITION,
            also=(COMPOSITION_BASELINE,),
            acts="Click a cell to choose that pair.",
        ),
        part(),
    ):
        st.segmented_control(
            "The later head reads it with its",
            list(KINDS),
            format_func=lambda name: f"{name}: {KINDS[name]}",
            required=True,
            key=widget_key(selection, "kind"),
        )
        found = {each: calls.composition(selection, each) for each in KINDS}
        baseline = found[kind].baseline
        _draw_map(selection, found[kind], (writer, reader))
        st.markdown(f"**{writer.label} to {reader.label}**")
        bar = st.container(horizontal=True)
        for each, result in found.items():
            at = (writer.layer, writer.head, reader.layer, reader.head)
            known = not np.isnan(result.values[at])
            bar.metric(
                f"{each}: {KINDS[each]}",
                f"{result.values[at]:.3f}" if known else "n/a",
                f"{result.deviations[at]:+.1f} sd" if known else None,
                delta_color="off",
                border=True,
                width=METRIC,
            )
        if writer.layer >= reader.layer:
            st.caption(f"{writer.label} is in no earlier layer: {reader.label} cannot read it.")
        open_head(selection, reader, "circuits")

        st.markdown("**Random pairs, and all pairs of this model**")
        dots = {
            each: result.strongest(composition_figures.MAX_DOTS) for each, result in found.items()
        }
        draw_choice(
            composition_figures.baseline_figure(
                baseline.sample, baseline.closed_form, dots, palette()
            ),
            "baseline",
            PAIR,
        )
        cut = max(len(pairs) for pairs in dots.values()) == composition_figures.MAX_DOTS
        st.caption(
            f"{len(baseline.sample)} random pairs: mean {baseline.mean:.4f}, standard deviation "
            f"{baseline.std:.4f}. The dashed line is the closed form 1/√{selection.info.d_model} "
            f"= {baseline.closed_form:.4f}. "
            + (f"The {composition_figures.MAX_DOTS} strongest pairs are drawn. " if cut else "")
            + found[kind].assumes
        )
    with (
        figure_frame(
            Subject(selection, on_input=False),
            f"Strongest {kind}-composition, as a graph",
            "The first layer is at the bottom; the thicker the edge, the higher the score.",
            COMPOSITION,
            acts="Click a head to open it, an edge to choose that pair.",
        ),
        part(),
    ):
        st.slider("Pairs", 1, MAX_PAIRS, key=widget_key(selection, "pairs"), width=320)
        result = calls.composition(selection, kind)
        pairs = result.strongest(selection["pairs"])
        links = composition_figures.composition_links(
            pairs,
            (result.baseline.mean, result.baseline.std),
            palette(),
            (writer, reader),
        )
        shape = (selection.info.n_layers, selection.info.n_heads)
        figure = graph_figures.head_graph(links, shape, palette(), (writer, reader))
        rows = [
            {"Earlier head": a.label, "Later head": b.label, "Score": score}
            for a, b, score in pairs
        ]
        draw_head_graph(figure, "graph", selection, PAIR, rows)


def _draw_map(selection: Selection, found: Composition, chosen: tuple[Head, Head]) -> None:
    """Every pair: those that stand out, or the heads of layers that are asked for."""
    info = selection.info
    most = composition_figures.MAX_ROWS
    layers = (selection["writers"], selection["readers"])
    if (info.n_layers - 1) * info.n_heads > most or layers != (None, None):
        bar = st.container(horizontal=True)
        for parameter, name, options in (
            ("writers", "Earlier heads", range(info.n_layers - 1)),
            ("readers", "Later heads", range(1, info.n_layers)),
        ):
            bar.selectbox(
                name,
                [None, *options],
                format_func=lambda n: "those that stand out" if n is None else f"of layer {n}",
                key=widget_key(selection, parameter),
                placeholder="those that stand out",
                width=220,
            )
    spread = (found.baseline.mean, found.baseline.std)
    with part():
        _require_later(layers)
        figure, left_out = composition_figures.pair_map(
            found.values, spread, palette(), chosen, layers
        )
        draw_choice(figure, "pairs", PAIR)
        if left_out:
            st.caption(
                f"The heads that differ most from random ones; {left_out} rows and columns are "
                "left out. Choose a layer to see all of its heads; Export has every pair."
            )

    def pairs() -> Table:
        return _pair_table(found)

    offer(Exhibit("every pair", pairs, page=lambda name: table_body(pairs())))


def _require_later(layers: tuple[int | None, int | None]) -> None:
    writers, readers = layers
    if writers is not None and readers is not None and writers >= readers:
        raise AnalysisError(
            f"Heads of layer {readers} cannot read those of layer {writers}: only earlier layers "
            "have written before them. Choose a later layer of readers."
        )


def _pair_table(found: Composition) -> Table:
    """All pairs with a score, as rows that are made one by one."""
    known = np.argwhere(~np.isnan(found.values))

    def rows() -> Iterator[tuple[str, str, float, float]]:
        deviations = found.deviations
        for a, b, c, d in known:
            at = (a, b, c, d)
            yield (
                Head(int(a), int(b)).label,
                Head(int(c), int(d)).label,
                float(found.values[at]),
                float(deviations[at]),
            )

    return Table(("Earlier head", "Later head", "Score", "Above random, sd"), rows, len(known))


def draw_targeted(selection: Selection, target: Head) -> None:
    """How the target's induction stripe changes without each earlier head."""
    with (
        figure_frame(
            Subject(selection, head=target),
            f"Which earlier head does the stripe of {target.label} rest on?",
            "The change of its induction score when one earlier head is silenced. A long red bar: "
            "without that head the stripe is gone.",
            TARGETED_ABLATION,
            also=(SCORES["induction"],),
        ),
        part(),
    ):
        earlier = target.layer * selection.info.n_heads
        ids = calls.tokens_of(selection).ids
        if not wanted(selection.info, ids, "Silence the earlier heads", earlier):
            return
        with stoppable(f"Silencing every head before {target.label}") as progress:
            result = calls.targeted_ablation(selection, target, progress)
        strongest = int(np.abs(result.values).argmax())
        without = f"Without {result.sources[strongest].label}"
        bar = st.container(horizontal=True)
        bar.metric(
            f"Induction score of {target.label}", f"{result.clean:.2f}", border=True, width=METRIC
        )
        bar.metric(without, f"{result.ablated[strongest]:.2f}", border=True, width=METRIC)
        labels = [head.label for head in result.sources]
        draw(composition_figures.change_bars(result.values, labels, palette()), key="targeted")
        if result.clean < A_STRIPE:
            st.caption(
                f"{target.label} shows next to no stripe on these tokens, so there is little to "
                "break. Choose an induction head, or repeated tokens."
            )
        if st.toggle("The same for every induction head", key=widget_key(selection, "stripes")):
            _draw_every_stripe(selection)


def _draw_every_stripe(selection: Selection) -> None:
    found = calls.reference_scores(selection).above("induction", INDUCTION)
    targets = [head for head, _ in found if head.layer > 0][:MAX_JOINT]
    if not targets:
        st.caption(f"No head of a later layer has an induction score above {INDUCTION}.")
        return
    earlier = sum(target.layer for target in targets) * selection.info.n_heads
    ids = calls.tokens_of(selection).ids
    if not wanted(selection.info, ids, "Silence them for each stripe", earlier):
        return
    results = []
    for target in targets:
        with stoppable(f"Silencing every head before {target.label}, one of several") as progress:
            results.append(calls.targeted_ablation(selection, target, progress))
    sources = max((result.sources for result in results), key=len)
    changes = np.full((len(sources), len(targets)), np.nan)
    for column, result in enumerate(results):
        # Heads are listed layer by layer, so a target of an earlier layer has the first of them.
        changes[: len(result.values), column] = result.values
    needed = figures.largest(np.nanmax(np.abs(changes), axis=1), MAX_SOURCES)
    if len(needed) < len(sources):
        st.caption(f"The {len(needed)} heads that change a stripe most, of {len(sources)}.")
    figure = composition_figures.change_map(
        changes[needed],
        [sources[i].label for i in needed],
        [target.label for target in targets],
        palette(),
    )
    draw(figure, key="every stripe")


def draw_decomposition(selection: Selection, head: Head) -> None:
    """What a head's queries and keys are made of, and which parts decide where it attends."""
    with (
        figure_frame(
            Subject(selection, head=head),
            f"What the queries and keys of {head.label} are made of",
            "Each component that wrote to the stream before, by the length of its part. An "
            "induction head asks with the embedding and finds keys of the previous-token head.",
            DECOMPOSITION,
        ),
        part(),
    ):
        tokens = calls.tokens_of(selection)
        result = calls.decomposition(selection, head)
        labels = tokens.labels[0] if tokens.batch == 1 else None
        top = float(max(result.query_norms.max(), result.key_norms.max()))
        for name, norms in (("Queries", result.query_norms), ("Keys", result.key_norms)):
            st.markdown(f"**{name}**")
            draw(
                composition_figures.norm_map(norms, result.labels, labels, palette(), top),
                key=f"norms {name}",
            )
        error = within(max(result.query_error, result.key_error), "of their largest entry")
        st.caption(
            f"Check: the components sum to queries and keys {error}. Lengths, not their squares, "
            f"averaged over {tokens.batch} sequences. {result.assumes}"
        )

        count = len(result.labels)
        strongest = np.unravel_index(int(result.score_std.argmax()), result.score_std.shape)
        chosen = [
            int(best) if asked is None or asked >= count else asked
            for asked, best in zip((selection["qpart"], selection["kpart"]), strongest, strict=True)
        ]
        st.markdown("**Which pairs of parts decide where it attends**")
        st.caption(
            "Standard deviation of their scores over all places it may look at. Click a cell to "
            "see its scores below."
        )
        figure, left_out = composition_figures.component_map(
            result.score_std, result.labels, (chosen[0], chosen[1]), palette()
        )
        draw_choice(figure, "components", ("qpart", "kpart"))
        if left_out:
            st.caption(
                f"{left_out} components of small scores are left out of the map. Choose any below."
            )
        bar = st.container(horizontal=True)
        for parameter, side, place in zip(
            ("qpart", "kpart"), ("Query from", "Key from"), chosen, strict=True
        ):
            bar.selectbox(
                side,
                range(count),
                format_func=result.labels.__getitem__,
                key=widget_key(selection, parameter, shown=place),
                width=160,
            )

        query, key = (result.labels[i] for i in chosen)
        st.markdown(f"**Scores of queries from {query} with keys from {key}**")
        row = choose_sequence(selection, tokens)
        scores = np.nan_to_num(result.score_map(query, key, row))
        draw(
            figures.pattern_map(scores, tokens.labels[row], palette(), unit="score"),
            key="score map",
        )
