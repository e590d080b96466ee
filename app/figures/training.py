"""Plotly figures of a training run: losses and scores over steps."""

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from analysis.definitions import ScoreName
from analysis.head import Head
from analysis.models.history import HeadHistory, TrainingHistory
from app.figures.base import finish
from app.figures.chart import Chart
from app.theme import Palette


def loss_lines(history: TrainingHistory, step: int, log: bool, palette: Palette) -> go.Figure:
    """Losses on text and on both halves of repeated tokens."""
    figure = Chart()
    for name, values, colour in (
        ("first half", history.first_half_loss, palette.accent),
        ("second half", history.second_half_loss, palette.diverging[3]),
        ("text", history.text_loss, palette.muted),
    ):
        figure.add_scatter(
            x=history.steps,
            y=values,
            mode="lines",
            name=name,
            line={"color": colour, "width": 2},
            customdata=history.tokens / 1e6,
            hovertemplate=f"<b>{name}</b> %{{y:.2f}} nats<br>step %{{x:,}}, %{{customdata:.1f}} M "
            "tokens<extra></extra>",
        )
    figure.update_yaxes(title="Loss (nats per token)", rangemode="tozero")
    return _over_steps(figure, history, step, log, palette, height=360)


def score_lines(
    history: HeadHistory,
    score: ScoreName,
    unit: str,
    step: int,
    focus: Head,
    log: bool,
    palette: Palette,
) -> go.Figure:
    """One line per head, coloured by layer; each point carries its head's layer and number.

    Steps at which the score is not measured have no point.
    """
    known = history.measured(score)
    steps, values = history.steps[known], history.scores[score][known]
    _, n_layers, n_heads = values.shape
    # The first layer by the accent: previous-token heads are told from those that build on them.
    later = np.linspace(0.5, 1, n_layers - 1).tolist()
    colours = [palette.accent, *sample_colorscale([*palette.sequential], later)]
    figure = Chart()
    heads = [Head(layer, head) for layer, head in np.ndindex(n_layers, n_heads)]
    # The head in focus last, on top of all others.
    for head in sorted(heads, key=lambda head: head == focus):
        chosen = head == focus
        figure.add_scatter(
            x=steps,
            y=values[:, head.layer, head.head],
            mode="lines+markers",
            name=f"layer {head.layer}",
            legendgroup=f"layer {head.layer}",
            legendrank=head.layer,
            showlegend=head.head == 0,
            line={"color": colours[head.layer], "width": 4 if chosen else 1.5},
            marker={"size": 7 if chosen else 5},
            opacity=1 if chosen else 0.75,
            customdata=np.tile([head.layer, head.head], (len(steps), 1)),
            hovertemplate=f"<b>{head.label}</b> {unit} %{{y:.3f}}<br>step %{{x:,}}<extra></extra>",
            # A click chooses a head; it does not dim the others.
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
        )
    figure.update_yaxes(title=unit, rangemode="tozero")
    figure.update_layout(clickmode="event+select", hovermode="closest", dragmode=False)
    return _over_steps(figure, history, step, log, palette, height=460)


def _over_steps(
    figure: go.Figure,
    history: HeadHistory,
    step: int,
    log: bool,
    palette: Palette,
    height: int,
) -> go.Figure:
    """The axis of steps, with the transition and the step that is looked at."""
    marks = [(step, "shown below", palette.text, "left")]
    if history.transition is not None:
        marks.append(
            (int(history.steps[history.transition]), "transition", palette.accent, "right")
        )
    for place, name, colour, side in marks:
        if log and place == 0:
            continue
        figure.add_vline(place, line={"color": colour, "width": 1.5, "dash": "dot"})
        figure.add_annotation(
            text=name,
            font_color=colour,
            showarrow=False,
            x=np.log10(place) if log else place,
            y=1,
            xref="x",
            yref="y domain",
            # The name stands beside the line: its right end on the left.
            xanchor={"left": "right", "right": "left"}[side],
            yanchor="top",
        )
    if log:
        figure.update_xaxes(type="log", dtick=1)
    figure.update_xaxes(title="Training step")
    figure.update_layout(legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0})
    return finish(figure, height=height)
