"""The logit lens as a table of tokens."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures.base import colour_scale, finish, name_axes
from app.figures.chart import Chart
from app.text import display_token, plotly_text, short_token
from app.theme import Palette

# Cells with a token each that a browser draws in half a second or so, of SmolLM2's 45 x 31 it takes
# three times as long as for all else on the page.
MAX_UNASKED = 700
# Pixels of a column, which hold this many characters, and of the names on both sides.
_COLUMN, _CHARACTERS, _SIDES = 64, 7, 290


def lens_width(n_depths: int) -> int:
    """Pixels below which the tokens in the cells would run into each other."""
    return _SIDES + _COLUMN * n_depths


def lens_map(
    end_probs: np.ndarray,
    probabilities: np.ndarray,
    guesses: Sequence[Sequence[Sequence[str]]],
    depths: Sequence[str],
    at: Sequence[str],
    palette: Palette,
) -> go.Figure:
    """The most likely next token at each position (rows) after each layer (columns).

    Colours are how likely the token is that the model ends with. What came stands on the right.

    Args:
        end_probs: Probability of the model's own top guess, [depth, pos].
        probabilities: Those of the most likely tokens, [depth, pos, k], largest first.
        guesses: What each of them stands for, [depth][pos][k].
        depths: Names of the columns.
        at: Tokens of the sequence, [pos].
        palette: Colours of the theme.
    """
    n_depths, n_pos = end_probs.shape
    texts, hovers, colours = [], [], []
    for pos in range(n_pos):
        came = at[pos + 1] if pos + 1 < n_pos else None
        follows = "" if came is None else f", then “{_shown(came)}”"
        end = guesses[-1][pos][0]
        for depth in range(n_depths):
            best = guesses[depth][pos]
            text = ("✓" if best[0] == came else "") + plotly_text(short_token(best[0], _CHARACTERS))
            texts.append(f"<b>{text}</b>" if best[0] == end else text)
            likely = end_probs[depth, pos]
            rows = [
                f"{_shown(token)} {probability:.1%}"
                for token, probability in zip(best, probabilities[depth, pos], strict=True)
            ]
            hovers.append(
                f"<b>{depths[depth]}</b>, at {pos} “{_shown(at[pos])}”{follows}<br>"
                + "<br>".join(rows)
                + f"<br>The model ends with “{_shown(end)}”: {likely:.1%} here"
            )
            quiet = palette.text if best[0] == end else palette.muted
            colours.append(palette.background if likely > 0.5 else quiet)
    figure = Chart(
        "heatmap",
        z=end_probs.T,
        colorscale=colour_scale(palette.sequential),
        zmin=0,
        zmax=1,
        xgap=2,
        ygap=1,
        hoverinfo="skip",
        # Below the last layers, where a wide map begins.
        colorbar={
            "title": {"text": "probability", "side": "bottom"},
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "y": 0,
            "yanchor": "top",
            "len": 260,
            "lenmode": "pixels",
            "thickness": 10,
            "tickformat": ".0%",
        },
    )
    row, column = np.divmod(np.arange(n_pos * n_depths), n_depths)
    figure.add_scatter(
        x=column,
        y=row,
        yaxis="y2",
        mode="text",
        text=texts,
        textfont={"color": colours, "size": 12},
        hovertext=hovers,
        hoverinfo="text",
        showlegend=False,
    )
    names = [name if name == "Embedding" else f"after {name}" for name in depths]
    names_at = [f"{plotly_text(short_token(token))} {i}" for i, token in enumerate(at)]
    name_axes(figure, names_at, names)
    figure.update_xaxes(side="top")
    # Whoever has moved to the last layers sees no names on the left.
    next_ones = [f", then {plotly_text(short_token(token))}" for token in at[1:]]
    followed = [f"{row}{then}" for row, then in zip(names_at, [*next_ones, ""], strict=True)]
    figure.update_layout(
        hoverdistance=40,
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "range": [n_pos - 0.5, -0.5],
            "tickvals": list(range(n_pos)),
            "ticktext": followed,
            "showgrid": False,
            "zeroline": False,
            "automargin": True,
        },
    )
    return finish(figure, height=170 + 20 * n_pos, top=50)


def _shown(token: str) -> str:
    return plotly_text(display_token(token))
