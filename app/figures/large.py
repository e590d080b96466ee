"""Figures for a projector: large enough to be read from the last row."""

import plotly.graph_objects as go

# Pixels, on a screen of 1920 x 1080.
TYPE = 24
HEIGHT = 800
_GROWN = 1.6


def enlarged(figure: go.Figure) -> go.Figure:
    """The same figure with type of `TYPE` pixels, as high as the screen allows; changed in place.

    What is square, such as a pattern, stays square and is whole on the screen.
    """
    layout = figure.layout
    square = layout.yaxis.scaleanchor is not None
    height = HEIGHT if square else min(HEIGHT, int(_GROWN * (layout.height or HEIGHT)))
    type_size = {"size": TYPE}
    axis = {"tickfont": type_size, "title_font": type_size}
    figure.update_layout(
        height=height, font_size=TYPE, legend_font=type_size, hoverlabel_font=type_size
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_annotations(font=type_size)
    for kind in {trace.type for trace in figure.data}:
        if kind in ("heatmap", "bar", "scatter"):
            figure.update_traces(selector={"type": kind}, textfont=type_size)
        if kind == "heatmap":
            figure.update_traces(
                selector={"type": kind},
                colorbar={"tickfont": type_size, "title": {"font": type_size}, "thickness": TYPE},
            )
    return figure
