"""What a `Chart` sends is what a `go.Figure` of the same calls would send."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from app.figures.chart import Chart

Build = Callable[[Any], Any]
CALLS: dict[str, Build] = {
    "nothing": lambda figure: figure,
    "points": lambda figure: figure.add_scatter(
        x=np.arange(3),
        y=np.array([0.5, np.nan, 2], np.float32),
        text=np.array(["a", "b", "c"]),
        customdata=np.arange(6).reshape(3, 2),
        marker={"size": 7, "line_width": 1.5},
        selected_marker_opacity=0,
        hovertemplate=None,
    ),
    "large, few and no numbers": lambda figure: (
        figure.add_scatter(x=np.array([1, 300, 70_000]), y=np.array([2**40, 0, 1]))
        .add_scatter(x=np.array([True, False]), y=np.array([1, 2], np.uint8))
        .add_scatter(x=[], y=np.array([]))
    ),
    "not in one piece": lambda figure: figure.add_bar(y=np.arange(12.0).reshape(3, 4)[:, 1]),
    "lines and bands": lambda figure: (
        figure.add_hline(2, line={"dash": "dash"}, showlegend=True, name="random")
        .add_vline(3, line_width=2)
        .add_vrect(-0.5, 4.5, fillcolor="red", line_width=0, layer="below")
        .add_shape(type="rect", x0=0, x1=1, y0=0, y1=1)
        .add_annotation(text="here", x=1, y=2, font_color="red", showarrow=False)
    ),
    "axes and layout": lambda figure: (
        figure.update_xaxes(title="Head", range=[0, 1], tickvals=[0, 1])
        .update_yaxes(title={"text": "Layer"}, autorange="reversed")
        .update_xaxes(automargin=True, tickvals=None)
        .update_layout(margin={"l": 1, "t": 2}, font_size=13, plot_bgcolor="white")
        .update_layout(margin_t=3, legend={"orientation": "h"}, paper_bgcolor="white")
    ),
    "traces changed": lambda figure: (
        figure.add_scatter(y=[1], hovertemplate="%{y}")
        .add_bar(y=[2], hovertemplate="%{y}")
        .update_traces(selector={"type": "bar"}, hovertemplate=None, hoverinfo="skip")
        .update_traces(marker_color="red")
    ),
}


def _sent(figure: go.Figure) -> Any:
    return json.loads(pio.to_json(figure, validate=False))


@pytest.mark.parametrize("build", CALLS.values(), ids=CALLS)
def test_it_sends_what_plotly_would(build: Build) -> None:
    assert _sent(build(Chart())) == _sent(build(go.Figure()))


def test_its_first_trace_is_that_of_plotly() -> None:
    cells = {"z": np.array([[1.0, np.nan]]), "colorbar": {"title": {"text": "nats"}}}
    assert _sent(Chart("heatmap", **cells)) == _sent(go.Figure(go.Heatmap(**cells)))


def test_what_is_read_is_checked() -> None:
    chart = Chart("bar", y=[1, 2]).update_layout(height=300)
    assert (chart.data[0].type, chart.layout.height) == ("bar", 300)
    with pytest.raises(ValueError, match="Invalid property"):
        _ = Chart("bar", heights=[1, 2]).data
