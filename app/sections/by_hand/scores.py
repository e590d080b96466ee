"""How good the circuit is, beside random circuits, the found one and those that are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import (
    CIRCUIT_COMPLETENESS,
    CIRCUIT_FAITHFULNESS,
    CIRCUIT_MINIMALITY,
)
from analysis.effects.circuit import MAX_CIRCUITS, HeadCircuit, circuits_text
from app.components.progress import wanted
from app.compute import calls
from app.figures import by_hand as figures
from app.frame.clicks import draw_rows_to_choose
from app.frame.frame import draw, figure_frame
from app.links.parsers import Value
from app.links.session import choose
from app.sections.by_hand.subject import NAMES, UNITS, BuildView, passes_of
from app.sections.shared.cancel import stoppable
from app.shell.theme import palette

if TYPE_CHECKING:
    from analysis.effects.circuit_score import CircuitScore

# Runs of a circuit that stands beside it, roughly.
_ALONE = 35
OWN, FOUND = "This circuit", "The found one"


def draw_scores(view: BuildView) -> None:
    """Faithfulness, completeness and minimality, once they are run: by itself where that is short.

    Raises:
        AnalysisError: It was cancelled, or cannot be run.
    """
    if not view.circuit.heads:
        return
    others = {view.found, *view.kept} - {view.circuit, None}
    info = view.selection.info
    runs = calls.circuit_runs(view.circuit) + _ALONE * len(others)
    if not wanted(info, view.ids, "Test it beside random circuits", passes_of(info, runs)):
        return
    scores = _scores(view)
    _draw_enough(view, scores)
    _draw_missing(view, scores)
    _draw_needed(view, scores[OWN])
    _draw_table(view, scores)


def _scores(view: BuildView) -> dict[str, CircuitScore]:
    """By name: this circuit, the found one where that is another, and those that are kept."""
    asked: dict[str, HeadCircuit] = {OWN: view.circuit}
    if view.found and view.found.heads and view.found != view.circuit:
        asked[FOUND] = view.found
    asked |= {f"Kept {number}": each for number, each in enumerate(view.kept, 1)}
    scores = {}
    for name, circuit in asked.items():
        what = f"Testing {name[:1].lower()}{name[1:]}"
        with stoppable(what, circuit.text) as progress:
            scores[name] = calls.circuit_score(
                view.selection, circuit, progress, "all" if name == OWN else "alone"
            )
    return scores


def _circuits(scores: dict[str, CircuitScore]) -> tuple[HeadCircuit, ...]:
    return tuple(score.circuit for score in scores.values())


def _draw_enough(view: BuildView, scores: dict[str, CircuitScore]) -> None:
    own = scores[OWN]
    random = own.random.circuits if own.random else ()
    with figure_frame(
        replace(view.subject, circuits=(*_circuits(scores), *random)),
        "Is it enough?",
        "The mean over prompts with this circuit alone, beside the found circuit of its size and "
        "random ones: as many heads of each layer, wired alike. Near the line of all heads it is "
        "enough.",
        CIRCUIT_FAITHFULNESS,
    ):
        if own.random is None:
            st.caption("It has all heads of its layers, so there is no random circuit like it.")
        else:
            drawn = own.random.faithfulness
            shares = "" if own.no_share else f", a share of {own.share_of(float(drawn.mean())):.1%}"
            st.markdown(
                f"**{own.faithfulness:+.2f}** {UNITS[own.metric]} with this circuit; "
                f"{len(drawn)} random ones {drawn.mean():+.2f} on average, sd {drawn.std():.2f}, "
                f"from {drawn.min():+.2f} to {drawn.max():+.2f}{shares}."
            )
        unit = f"{NAMES[own.metric]} ({UNITS[own.metric]})"
        draw(figures.enough_strip(scores, unit, palette()), "enough")


def _draw_missing(view: BuildView, scores: dict[str, CircuitScore]) -> None:
    own = scores[OWN]
    with figure_frame(
        replace(view.subject, groups=own.removed),
        "Does it lack something?",
        "Some of its heads, K, are taken out of the circuit and of the whole model. A point on the "
        "line: both change alike. Off it, the model has something to fall back on that the circuit "
        "lacks.",
        CIRCUIT_COMPLETENESS,
    ):
        random = ""
        if own.random is not None:
            gaps = own.random.gap
            random = f"; random circuits {gaps.mean():.2f}, sd {gaps.std():.2f}"
        st.markdown(
            f"**{own.completeness:.2f}** {UNITS[own.metric]} between the two on average over "
            f"{len(own.removed)} random K{random}."
        )
        shown = {name: scores[name] for name in (OWN, FOUND) if name in scores}
        draw(figures.missing_scatter(shown, UNITS[own.metric], palette()), "missing")


def _draw_needed(view: BuildView, own: CircuitScore) -> None:
    with figure_frame(
        view.subject,
        "Is each of them needed?",
        "What the circuit loses without each head, and without each chosen edge. The dashed line "
        "and the band are one random head of each random circuit: their mean and sd. Near 0 the "
        "circuit does as well without it.",
        CIRCUIT_MINIMALITY,
    ):
        labels = [head.label for head in own.circuit.heads]
        labels += [wire.text.replace("-", " → ") for wire in own.circuit.wires or ()]
        needs = np.concatenate([own.head_needs, own.wire_needs])
        random = own.random.need if own.random else None
        if random is not None:
            st.markdown(
                f"One head of a random circuit is worth {random.mean():+.2f} to it on average, sd "
                f"{random.std():.2f}."
            )
        draw(
            figures.needed_bars(labels, needs.tolist(), random, palette(), UNITS[own.metric]),
            "needed",
        )


def _draw_table(view: BuildView, scores: dict[str, CircuitScore]) -> None:
    rows = [_row(name, score) for name, score in scores.items()]
    options: list[dict[str, Value]] = [{"circuit": score.circuit.text} for score in scores.values()]
    own = scores[OWN]
    rows += [
        {"Circuit": "All heads", "Faithfulness": own.whole},
        {"Circuit": "No head", "Faithfulness": own.empty},
    ]
    if (random := own.random) is not None:
        for name, of in (("Random, mean", np.mean), ("Random, sd", np.std)):
            rows.append(
                {
                    "Circuit": name,
                    "Faithfulness": float(of(random.faithfulness)),
                    "Off by": float(of(random.gap)),
                }
            )
    with figure_frame(
        replace(view.subject, circuits=_circuits(scores)),
        "Circuits side by side",
        "Each on the same prompts, with the same replacement. The share is of what all heads do; "
        "“off by” is how far circuit and model are apart without the same heads (completeness).",
        CIRCUIT_FAITHFULNESS,
        also=(CIRCUIT_COMPLETENESS, CIRCUIT_MINIMALITY),
        acts="Tick a row to go on with that circuit.",
    ):
        number = st.column_config.NumberColumn(format="%.3f")
        draw_rows_to_choose(
            rows,
            options,
            "side-by-side",
            {
                "Faithfulness": number,
                "Share": st.column_config.NumberColumn(format="percent"),
                "Off by": number,
                "Its worth": number,
            },
        )
        _draw_keep(view)


def _row(name: str, score: CircuitScore) -> dict[str, object]:
    circuit = score.circuit
    least = min(score.minimality, key=score.minimality.__getitem__)
    return {
        "Circuit": name,
        "Size": len(circuit.heads),
        "Edges": "all" if circuit.wires is None else str(len(circuit.wires)),
        "Faithfulness": score.faithfulness,
        "Share": None if score.no_share else score.recovered,
        "Off by": score.completeness,
        "Least needed": least.label,
        "Its worth": score.minimality[least],
        "Heads": ", ".join(head.label for head in circuit.heads),
    }


def _draw_keep(view: BuildView) -> None:
    kept = view.kept
    bar = st.container(horizontal=True)
    bar.button(
        "Keep this circuit",
        icon=":material/bookmark_add:",
        on_click=choose,
        kwargs={"beside": circuits_text((*kept, view.circuit))},
        disabled=view.circuit in kept or len(kept) == MAX_CIRCUITS,
        help=f"At most {MAX_CIRCUITS} are kept; the link holds them.",
    )
    if view.circuit in kept:
        bar.button(
            "Keep it no longer",
            on_click=choose,
            kwargs={"beside": circuits_text([each for each in kept if each != view.circuit])},
        )
    elif kept:
        bar.button("Keep none", on_click=choose, kwargs={"beside": ""})
