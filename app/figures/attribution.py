"""What many layers add to a logit: their totals, at one position and at all of them."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures.base import colour_scale, finish, some_ticks
from app.figures.chart import Chart
from app.text import display_token, plotly_text, short_token
from app.theme import Palette

# More components than these leave no room for a name each.
MAX_NAMED = 48
# Names of layers along an axis that stay apart on a narrow screen.
_TICKS = 8
# Cells beyond this share of all have the end colour: a few large ones would leave the rest pale.
COLOURED_SHARE = 0.99


def layer_bars(
    attention: np.ndarray, mlp: np.ndarray | None, chosen: int, palette: Palette
) -> go.Figure:
    """Totals of each layer [layer], its heads beside its MLP; a bar carries its layer.

    A click or the pointer anywhere above or below a layer finds it, however short its bars are.
    """
    n_layers = len(attention)
    figure = Chart()
    figure.add_vrect(
        chosen - 0.5, chosen + 0.5, fillcolor=palette.first_half, line_width=0, layer="below"
    )
    kinds = [("Attention", attention, palette.diverging[4])]
    if mlp is not None:
        kinds.append(("MLP", mlp, palette.accent))
    for name, values, colour in kinds:
        figure.add_bar(
            x=np.arange(n_layers),
            y=values,
            name=name,
            marker_color=colour,
            marker_line_width=0,
            # Streamlit's click selects; the other bars must not fade.
            selected_marker_opacity=1,
            unselected_marker_opacity=1,
            customdata=[[layer] for layer in range(n_layers)],
            hovertemplate=f"<b>L%{{x}} {name}</b> %{{y:+.3f}} logits<extra></extra>",
        )
    ticks = some_ticks([f"L{layer}" for layer in range(n_layers)], _TICKS)
    figure.update_xaxes(
        title="Layer", range=[-0.6, n_layers - 0.4], showgrid=False, zeroline=False, **ticks
    )
    figure.update_yaxes(title="Logits", zeroline=True, zerolinecolor=palette.muted)
    figure.update_layout(
        clickmode="event+select",
        dragmode=False,
        hovermode="x",
        hoverdistance=-1,
        bargap=0.15,
        bargroupgap=0,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
    )
    return finish(figure, height=340, top=30)


def layer_map(
    attention: np.ndarray,
    mlp: np.ndarray | None,
    at: Sequence[str],
    towards: Sequence[str],
    palette: Palette,
) -> go.Figure:
    """Totals of each layer at every position [pos, layer]: all of attention, then all MLPs.

    Rows are named by the token `at` which the prediction is made; `towards` is for the hover.
    """
    n_pos, n_layers = attention.shape
    names = [f"L{layer} attention" for layer in range(n_layers)]
    ticks = some_ticks([f"L{layer}" for layer in range(n_layers)], _TICKS // 2)
    places, texts = list(ticks["tickvals"]), list(ticks["ticktext"])
    values, groups = attention, [("Attention", (n_layers - 1) / 2)]
    if mlp is not None:
        # An empty column keeps the two apart.
        values = np.concatenate([attention, np.full((n_pos, 1), np.nan), mlp], 1)
        names += ["", *(f"L{layer} MLP" for layer in range(n_layers))]
        groups.append(("MLPs", n_layers + 1 + (n_layers - 1) / 2))
        places += [n_layers + 1 + place for place in ticks["tickvals"]]
        texts += list(ticks["ticktext"])
    known = np.abs(values[np.isfinite(values)])
    limit = max(float(np.quantile(known, COLOURED_SHARE)) if known.size else 0, 1e-6)
    goals = [plotly_text(display_token(label)) for label in towards]
    rows = [
        f"at {i} “{plotly_text(display_token(label))}”<br>towards “{goal}”"
        for i, (label, goal) in enumerate(zip(at, goals, strict=True))
    ]
    figure = Chart(
        "heatmap",
        z=values,
        x=list(range(values.shape[1])),
        text=np.broadcast_to(np.array(names), values.shape),
        customdata=np.broadcast_to(np.array(rows)[:, None], values.shape),
        colorscale=colour_scale(palette.diverging),
        zmin=-limit,
        zmax=limit,
        hovertemplate="<b>%{text}</b><br>%{customdata}<br>%{z:+.2f} logits<extra></extra>",
        hoverongaps=False,
        colorbar={"title": {"text": "logits", "side": "right"}, "thickness": 12},
    )
    for name, middle in groups:
        figure.add_annotation(
            x=middle,
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=30,
            text=name,
            showarrow=False,
            font_color=palette.muted,
        )
    figure.update_xaxes(side="top", tickvals=places, ticktext=texts, tickangle=0, showgrid=False)
    figure.update_yaxes(
        autorange="reversed",
        tickvals=list(range(n_pos)),
        ticktext=[f"{plotly_text(short_token(label))} {i}" for i, label in enumerate(at)],
        showgrid=False,
    )
    return finish(figure, height=110 + 16 * n_pos, top=60)
