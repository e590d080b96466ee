"""The circuit on a graph of the layers: heads and edges, put in and taken out by a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import CIRCUIT_FAITHFULNESS, ROLES, SET_EDGES
from analysis.effects.circuit import MAX_HEADS, MAX_WIRES, Wire, circuit_of
from analysis.head import Head, all_heads
from app.compute import calls
from app.figures import by_hand as figures
from app.figures.graph import head_graph
from app.figures.patching import add_input_legend
from app.frame.clicks import draw_parts
from app.frame.frame import Metric, draw_metrics, figure_frame, part
from app.pickers.method import choose_method
from app.sections.by_hand.subject import FIRST, NAMES, UNITS, BuildView, rewired, take, toggled
from app.sections.shared.cancel import stoppable
from app.shell.theme import palette

if TYPE_CHECKING:
    from collections.abc import Collection

# Edges that are drawn: more lie on each other.
DRAWN = 40
# Heads of a role that it begins with.
OF_ROLE = 4


def draw_circuit(view: BuildView) -> None:
    """The graph, ways to begin, and at once how much of the task is left."""
    with figure_frame(
        view.subject,
        "The circuit",
        "Heads by layer, the first at the bottom; those of the circuit are coloured. Every other "
        "head carries its replacement. Lines are the edges between its heads that the search "
        "finds strongest, the thicker the more they are worth.",
        CIRCUIT_FAITHFULNESS,
        also=(SET_EDGES,),
        acts="Click a head to put it in or take it out.",
    ):
        _draw_starts(view)
        _draw_choices(view)
        _draw_graph(view)
        with part():
            _draw_numbers(view)


def _draw_starts(view: BuildView) -> None:
    """Where to begin: with what the search finds, with the heads of a role, or with nothing."""
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    size = bar.number_input("Heads", 1, MAX_HEADS, FIRST, key="build.size", width=110)
    ranked = view.ranked
    if ranked is not None:
        from analysis.effects.set_edges import found_circuit  # with torch, which is there by then

        bar.button(
            "Take the found circuit",
            icon=":material/travel_explore:",
            on_click=lambda: take(found_circuit(ranked, size)),
            help="The heads of the strongest edges that lie on a path to the logits, as many as "
            "make no more heads than that.",
        )
    bar.button("Begin with none", on_click=take, args=(circuit_of(()),))
    role = bar.selectbox(
        "Heads of a role",
        list(ROLES),
        index=None,
        format_func=lambda key: ROLES[key].name,
        placeholder="A role",
        key="build.role",
        width=220,
    )
    if view.refused:
        st.info(f"No circuit is found by itself here. {view.refused}")
    if role is not None:
        with part():
            _draw_role(view, role)


def _draw_role(view: BuildView, role: str) -> None:
    with stoppable("Screening every head") as progress:
        scores = calls.role_scores(view.selection, progress)
    heads = scores.screened(role, OF_ROLE)
    if not heads:
        st.caption(f"{ROLES[role].name}: no head looks enough like it on these prompts.")
        return
    named = ", ".join(head.label for head in heads)
    bar = st.container(horizontal=True, vertical_alignment="center")
    bar.caption(f"{ROLES[role].name}: {named} look most like it.")
    bar.button("Take only these", on_click=take, args=(circuit_of(heads),))
    both = circuit_of((*view.circuit.heads, *heads), view.circuit.wires)
    bar.button("Add these", on_click=take, args=(both,), disabled=len(both.heads) > MAX_HEADS)


def _draw_choices(view: BuildView) -> None:
    """The same by keyboard: which heads, which edges, and what the rest carries."""
    circuit = view.circuit
    key, key_of_edges = "build.heads", "build.edges"

    def take_heads() -> None:
        heads = [Head.parse(label) for label in st.session_state[key]]
        gone = [head for head in circuit.heads if head not in heads]
        take(circuit_of(heads, circuit.without(gone).wires))

    def take_edges() -> None:
        drawn = [each.wire for each in drawn_wires(view)][:MAX_WIRES]
        chosen = st.session_state[key_of_edges] == "chosen"
        take(circuit_of(circuit.heads, drawn if chosen else None))

    # In every run, for the reason of `widget_key`.
    st.session_state[key] = [head.label for head in circuit.heads]
    st.multiselect(
        "Heads of the circuit",
        [head.label for head in all_heads(view.selection.info)],
        key=key,
        on_change=take_heads,
        max_selections=MAX_HEADS,
    )
    bar = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    if view.ranked is not None:
        st.session_state[key_of_edges] = "all" if circuit.wires is None else "chosen"
        bar.segmented_control(
            "Edges between them",
            ["all", "chosen"],
            format_func={"all": "All", "chosen": "Only chosen ones"}.__getitem__,
            required=True,
            key=key_of_edges,
            on_change=take_edges,
            disabled=not circuit.heads,
            help=f"At most {MAX_WIRES} are chosen; it begins with those that are drawn. What heads "
            "of the circuit write to MLPs stays.",
        )
    with bar:
        choose_method(view.selection, "What all others carry")


def drawn_wires(view: BuildView) -> list[figures.DrawnWire]:
    """The edges of the circuit that are drawn: the chosen ones, and the strongest besides."""
    heads = set(view.circuit.heads)
    chosen = view.circuit.wires
    drawn: list[figures.DrawnWire] = []
    for edge in view.ranked.edges if view.ranked is not None else ():
        reader = edge.reader
        if edge.writer not in heads or not _read(reader.heads, heads):
            continue
        wire = Wire(edge.writer, reader.layer, reader.head, reader.input)
        kept = chosen is None or wire in chosen
        if len(drawn) < DRAWN or (kept and chosen is not None):
            drawn.append(figures.DrawnWire(wire, edge.label, edge.score, kept))
    return drawn


def _read(readers: Collection[Head], heads: Collection[Head]) -> bool:
    """Whether an edge ends in the circuit: in one of its heads, or in the logits."""
    return not readers or any(head in heads for head in readers)


def _draw_graph(view: BuildView) -> None:
    circuit, info, theme = view.circuit, view.selection.info, palette()
    drawn, unit = drawn_wires(view), UNITS[view.metric]
    figure = head_graph(
        figures.wire_links(
            drawn, circuit.heads, info, theme, unit, chosen=circuit.wires is not None
        ),
        (info.n_layers, info.n_heads),
        theme,
        circuit.heads,
        lambda head: f"click to {'take it out' if head in circuit.heads else 'put it in'}",
    )
    if drawn:
        add_input_legend(figure, {each.wire.input for each in drawn}, theme)

    def take_head(head: Head) -> None:
        if head.layer < info.n_layers and head.head < info.n_heads:
            take(toggled(circuit, head))

    def take_edge(place: int) -> None:
        if circuit.wires is not None and place in range(len(drawn)):
            take(rewired(circuit, drawn[place].wire))

    # A key of its own for each circuit: a second click on the same head is another choice.
    draw_parts(
        figure,
        f"circuit {int(view.ids[-1]):08x}",
        take_head,
        take_edge,
        [
            {"Edge": each.label, f"≈ {unit}": each.score, "In the circuit": each.kept}
            for each in drawn
        ],
    )
    if circuit.wires is not None:
        st.caption(
            f"{len(circuit.wires)} edges are chosen; pale ones are out. Click one to take it out "
            f"or put it in; {MAX_WIRES} are the most."
        )
    if len(circuit.heads) == MAX_HEADS:
        st.caption(f"{MAX_HEADS} heads are the most that a link holds.")


def _draw_numbers(view: BuildView) -> None:
    """What is left with this circuit alone."""
    if not view.circuit.heads:
        st.info("No head is in the circuit yet. Click one, or take the found circuit.")
        return
    with stoppable("Running the circuit alone", view.circuit.text) as progress:
        score = calls.circuit_score(view.selection, view.circuit, progress, "faithfulness")
    name, unit = NAMES[view.metric], UNITS[view.metric]
    info = view.selection.info
    share = "n/a" if score.no_share else f"{score.recovered:.1%}"
    draw_metrics(
        [
            Metric("Faithfulness, share", None if score.no_share else score.recovered, share),
            Metric("With this circuit", score.faithfulness, _signed(score.faithfulness)),
            Metric("With all heads", score.whole, _signed(score.whole)),
            Metric("With none", score.empty, _signed(score.empty)),
        ],
        "faithfulness",
    )
    st.caption(
        f"{len(view.circuit.heads)} of {info.n_layers * info.n_heads} heads. Mean {name} over "
        f"{len(view.prompts.rows)} prompts, in {unit}."
    )
    if score.no_share:
        st.info(score.no_share)


def _signed(value: float) -> str:
    """Two decimals; what rounds to 0 has no minus."""
    return f"{round(value, 2) + 0.0:+.2f}"
