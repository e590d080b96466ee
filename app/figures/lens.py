"""The logit lens as a table of tokens."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures.base import colour_scale, finish, name_axes
from app.figures.chart import Chart
from app.text import display_token, plotly_text, short_token
from app.theme import Palette

# Columns beyond this are too narrow for a token.
MAX_NAMED = 14


def lens_map(
    probabilities: np.ndarray,
    guesses: Sequence[Sequence[Sequence[str]]],
    depths: Sequence[str],
    at: Sequence[str],
    palette: Palette,
) -> go.Figure:
    """The most likely next token at each position (rows) after each layer (columns).

    Args:
        probabilities: [depth, pos, k], largest first.
        guesses: What each of them stands for, [depth][pos][k].
        depths: Names of the columns.
        at: Tokens of the sequence, [pos].
        palette: Colours of the theme.
    """
    n_depths, n_pos, _ = probabilities.shape
    texts, hovers, colours = [], [], []
    for pos in range(n_pos):
        came = at[pos + 1] if pos + 1 < n_pos else None
        follows = "" if came is None else f", then “{_shown(came)}”"
        for depth in range(n_depths):
            best = guesses[depth][pos]
            mark = "✓ " if best[0] == came else ""
            texts.append(mark + plotly_text(short_token(best[0], 10)))
            rows = [
                f"{_shown(token)} {probability:.1%}"
                for token, probability in zip(best, probabilities[depth, pos], strict=True)
            ]
            hovers.append(
                f"<b>{depths[depth]}</b>, at {pos} “{_shown(at[pos])}”{follows}<br>"
                + "<br>".join(rows)
            )
            strong = probabilities[depth, pos, 0] > 0.5
            colours.append(palette.background if strong else palette.text)
    figure = Chart(
        "heatmap",
        z=probabilities[..., 0].T,
        colorscale=colour_scale(palette.sequential),
        zmin=0,
        zmax=1,
        xgap=2,
        ygap=1,
        hoverinfo="skip",
        colorbar={
            "title": {"text": "probability", "side": "right"},
            "thickness": 12,
            "tickformat": ".0%",
        },
    )
    row, column = np.divmod(np.arange(n_pos * n_depths), n_depths)
    figure.add_scatter(
        x=column,
        y=row,
        mode="text" if n_depths <= MAX_NAMED else "markers",
        marker={"opacity": 0, "size": 14},
        text=texts,
        textfont={"color": colours, "size": 12},
        hovertext=hovers,
        hoverinfo="text",
        showlegend=False,
    )
    names = [name if name == "Embedding" else f"after {name}" for name in depths]
    rows = [f"{plotly_text(short_token(token))} {i}" for i, token in enumerate(at)]
    name_axes(figure, rows, names)
    figure.update_xaxes(side="top")
    figure.update_layout(hoverdistance=40)
    return finish(figure, height=110 + 20 * n_pos, top=50)


def _shown(token: str) -> str:
    return plotly_text(display_token(token))
