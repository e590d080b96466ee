"""The sections of the page of neurons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import NEURON_ACTIVATION, NEURON_PEAKS, NEURON_TOKENS
from analysis.models.capabilities import why_not
from analysis.models.catalog import available_models
from app.components import circuitsvis
from app.compute import calls
from app.figures import activations as activation_figures
from app.frame.clicks import draw_rows_to_choose
from app.frame.export import Exhibit, Table, array_table, as_rows, framed_body
from app.frame.frame import draw, draw_table, figure_frame, offer
from app.links.selection import Selection
from app.links.session import choose, widget_key
from app.links.subject import Subject
from app.shell.theme import palette
from app.text import display_token, markdown_text, numbered
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.neurons import NeuronPeaks
    from analysis.runs.inputs import Tokens

# As the table of what a model allows calls it.
NEURONS = "Neurons"
STRONGEST = 12
# CircuitsVis gets these many of the layer: the one in focus and the strongest others.
IN_CIRCUITSVIS = 10
# Pixels of a frame on a page of its own, which cannot measure what is inside.
FRAME_HEIGHT = 560


@dataclass(frozen=True)
class NeuronView:
    """What every section is about: the neuron, and the sequence that is drawn."""

    selection: Selection
    row: int
    layer: int
    neuron: int
    peaks: NeuronPeaks
    values: np.ndarray  # of its layer, [pos, neuron]
    labels: tuple[str, ...]
    first: int  # position of the first token after BOS
    theme: Palette

    @classmethod
    def of(cls, selection: Selection, tokens: Tokens, row: int) -> NeuronView:
        """The view of a selection; what is not chosen is the strongest neuron there."""
        peaks = calls.neuron_peaks(selection, row)
        layer, neuron = selection["layer"], selection["neuron"]
        if neuron is None:
            ((layer, neuron),) = peaks.strongest(1, layer)
        elif layer is None:
            layer = int(peaks.values[:, neuron].argmax())
        values = calls.neuron_activations(selection, row, layer).values[0]
        labels = tuple(tokens.labels[row])
        first = int(tokens.has_bos)
        return cls(selection, row, layer, neuron, peaks, values, labels, first, palette())

    @property
    def subject(self) -> Subject:
        """The neuron on that sequence."""
        return Subject(self.selection, layer=self.layer, neuron=self.neuron, sequence=self.row)

    @property
    def name(self) -> str:
        """The neuron's name, such as `L2N17`."""
        return self.subject.name


def explain_absence(selection: Selection, reason: str) -> None:
    """Why the model has no neurons, and which one here has."""
    with figure_frame(
        Subject(selection, on_input=False),
        f"{selection.info.title} has no neurons",
        f"{reason} Neurons are the hidden units of an MLP; here nothing but heads writes to the "
        "residual stream.",
        also=(NEURON_ACTIVATION,),
    ):
        models = available_models()
        draw_table(
            [
                {
                    "Model": info.title,
                    "Layers": info.n_layers,
                    "Neurons per layer": info.d_mlp,
                    "Neurons": info.n_layers * info.d_mlp,
                }
                for info in models
            ],
            "models",
        )
        for info in models:
            if not why_not(NEURONS, info):
                # Not a link: to the page it stands on, that would leave the address as it was.
                st.button(
                    f"Open the neurons of {markdown_text(info.title)}",
                    key=f"neurons of {info.name}",
                    icon=":material/arrow_forward:",
                    on_click=choose,
                    kwargs={"model": info.name},
                )


def choose_neuron(view: NeuronView) -> None:
    """Pickers of layer and neuron."""
    selection, info = view.selection, view.selection.info
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    layer = widget_key(selection, "layer", shown=view.layer)
    bar.selectbox("Layer", range(info.n_layers), key=layer, width=110)
    neuron = widget_key(selection, "neuron", shown=view.neuron)
    bar.number_input("Neuron", 0, info.d_mlp - 1, key=neuron, width=170)


def draw_strongest(view: NeuronView) -> None:
    """The neurons that fire most on this text, of all layers."""
    with figure_frame(
        Subject(view.selection, sequence=view.row),
        "Strongest neurons on this text",
        "Of all layers, by the highest activation; BOS is left out.",
        NEURON_PEAKS,
        also=(NEURON_ACTIVATION,),
        acts="Tick a row to see that neuron.",
    ):
        strongest = view.peaks.strongest(STRONGEST)
        rows = []
        for layer, neuron in strongest:
            position = int(view.peaks.positions[layer, neuron])
            rows.append(
                {
                    "Neuron": f"L{layer}N{neuron}",
                    "Activation": float(view.peaks.values[layer, neuron]),
                    "At token": display_token(view.labels[position]),
                    "Position": position,
                }
            )
        draw_rows_to_choose(
            rows,
            [{"layer": layer, "neuron": neuron} for layer, neuron in strongest],
            # A new table for each neuron: no row stays ticked that is no longer in focus.
            key=f"strongest-{view.name}",
            column_config={"Activation": st.column_config.NumberColumn(format="%.2f")},
        )


def draw_promoted(view: NeuronView) -> None:
    """The tokens whose logits the neuron raises and lowers."""
    with figure_frame(
        replace(view.subject, on_input=False),
        f"What {view.name} says",
        "The tokens whose logits change most when it fires, along the direct path.",
        NEURON_TOKENS,
    ):
        raised, lowered = calls.promoted_tokens(view.selection, view.layer, view.neuron)
        sides = (("Promotes", raised, 1), ("Suppresses", lowered, -1))
        for column, (side, ranking, sign) in zip(st.columns(2), sides, strict=True):
            rows = as_rows(
                {
                    side: [display_token(label) for label in ranking.labels],
                    "Logits": (sign * ranking.values).tolist(),
                }
            )
            with column:
                draw_table(rows, side, {"Logits": st.column_config.NumberColumn(format="%+.2f")})


def draw_activation(view: NeuronView) -> None:
    """How strongly the neuron fires at each token."""
    values = view.values[:, view.neuron]
    at = view.first + int(values[view.first :].argmax())
    with figure_frame(
        view.subject,
        f"Where {view.name} fires",
        f"Strongest at {at} “{display_token(view.labels[at])}”, {values[at]:.2f}. A neuron that "
        "fires on one kind of token only is easiest to name.",
        NEURON_ACTIVATION,
    ):
        figure = activation_figures.token_bars(values, view.labels, view.theme, "activation")
        draw(figure, key="activation")


def draw_circuitsvis(view: NeuronView) -> None:
    """The neuron and its strongest neighbours in both views of CircuitsVis."""
    strongest = [neuron for _, neuron in view.peaks.strongest(IN_CIRCUITSVIS, view.layer)]
    others = [neuron for neuron in strongest if neuron != view.neuron][: IN_CIRCUITSVIS - 1]
    neurons = [view.neuron, *others]
    shown = min(len(view.labels), circuitsvis.MAX_TOKENS)
    cut = f" The first {shown} of {len(view.labels)} tokens." if shown < len(view.labels) else ""
    values, labels = view.values[:shown, neurons], view.labels[:shown]
    table = array_table(
        values,
        (
            numbered(labels),
            [f"L{view.layer}N{neuron}" for neuron in neurons],
        ),
        ("token", "neuron", "activation"),
        causal=False,
    )
    with figure_frame(
        view.subject,
        "The text, coloured by one neuron",
        f"CircuitsVis: {view.name} first, and the {len(others)} strongest others of layer "
        f"{view.layer} in the list. Blue is positive, red negative." + cut,
        NEURON_ACTIVATION,
        acts="Hover a token for its number.",
    ):
        frame = circuitsvis.text_neuron_activations(
            values, labels, view.layer, neurons, dark=view.theme.dark
        )
        _draw_frame(frame, f"Activations of {view.name} on the text", table)
    with figure_frame(
        view.subject,
        "Tokens each neuron fires on",
        f"CircuitsVis: for {view.name} and the strongest others of layer {view.layer}, the tokens "
        "of this text with the highest activations, and those with the lowest. The darker, the "
        "nearer to the highest of them all; every negative one is red." + cut,
        NEURON_ACTIVATION,
        acts="Hover a token for its share of the highest.",
    ):
        frame = circuitsvis.topk_tokens(values, labels, view.layer, neurons, dark=view.theme.dark)
        _draw_frame(frame, f"Tokens that neurons of layer {view.layer} fire on", table)


def _draw_frame(frame: str, alt: str, table: Table) -> None:
    st.iframe(frame, alt=alt)
    offer(Exhibit(alt, lambda: table, page=lambda name: framed_body(frame, FRAME_HEIGHT)))
