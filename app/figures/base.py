"""Plotly figures from arrays. No Streamlit, no model: numbers, labels and colours in, figure out.

Token labels arrive as the tokenizer gives them; every label goes through `app.text` here.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.head import Head
from app.figures.chart import Chart
from app.figures.pixels import cells_seen
from app.text import display_token, plotly_text, short_token
from app.theme import Palette

_FONT = 13
PATTERN_HEIGHT = 680
_CELL_TICKS = 16  # tokens named on an axis of a pattern
# Tokens below bars that stay apart, turned, on a narrow screen.
BAR_TICKS = 24


def head_map(
    values: np.ndarray,
    palette: Palette,
    *,
    unit: str,
    diverging: bool = False,
    top: float | None = None,
    focus: Head | None = None,
    details: Mapping[str, np.ndarray | None] | None = None,
) -> go.Figure:
    """A map of one number per head, layers downwards; clicking a cell selects its head.

    Args:
        values: [layer, head]; NaN cells stay empty.
        palette: Colours of the theme.
        unit: Name of the number, on the colour bar and in the hover.
        diverging: Centre the colours on 0.
        top: End of the colour scale; by default the largest value, or less where one or two
            cells would leave all others without colour, which the colour bar then says.
        focus: Head to outline.
        details: Further numbers for the hover by name, [layer, head] each; NaN and None are
            left out.
    """
    n_layers, n_heads = values.shape
    limit = colour_limit(values) if top is None else top
    cut = top is None and float(np.nanmax(np.abs(values), initial=0)) > limit
    figure = Chart(
        "heatmap",
        z=values,
        colorscale=colour_scale(palette.diverging if diverging else palette.sequential),
        zmin=-limit if diverging else 0,
        zmax=limit,
        # As large as its cell allows: on a narrow screen numbers of one size would overlap.
        texttemplate="%{z:.2f}" if n_heads <= 16 else None,
        xgap=2,
        ygap=2,
        hoverinfo="skip",
        colorbar={
            "title": {
                "text": f"{unit}; colours end at {limit:.2g}" if cut else unit,
                "side": "right",
            },
            "thickness": 12,
        },
    )
    lines = {unit: values, **(details or {})}
    layer, head = np.divmod(np.arange(values.size), n_heads)
    add_click_targets(
        figure,
        rows=layer,
        columns=head,
        size=24,
        hovertext=[
            "<br>".join([f"<b>{Head(a, b).label}</b>", *_numbers(lines, a, b)])
            for a, b in np.ndindex(values.shape)
        ],
    )
    if focus:
        outline_cell(figure, focus.layer, focus.head, palette)
    figure.update_xaxes(title="Head", dtick=1, range=[-0.5, n_heads - 0.5], showgrid=False)
    figure.update_yaxes(title="Layer", dtick=1, range=[n_layers - 0.5, -0.5], showgrid=False)
    # "event+select" with a wide hover distance: a click anywhere in a cell finds its point.
    figure.update_layout(clickmode="event+select", hoverdistance=200, dragmode=False)
    return finish(figure, height=110 + 44 * n_layers)


def colour_limit(values: np.ndarray) -> float:
    """Where a scale of colours ends: at the largest size, and at most at 3 times the third largest.

    One or two cells that tower above all others would leave them without any colour.
    """
    sizes = np.sort(np.abs(values[np.isfinite(values)]))[::-1]
    if not sizes.size:
        return 1e-6
    third = sizes[min(2, len(sizes) - 1)]
    return max(float(min(sizes[0], 3 * third)) or float(sizes[0]), 1e-6)


def add_click_targets(
    figure: go.Figure,
    *,
    rows: np.ndarray,
    columns: np.ndarray,
    size: int,
    hovertext: Sequence[str],
    carried: np.ndarray | None = None,
) -> None:
    """An invisible point on every cell of a heatmap, which carries `(row, column)` or `carried`.

    Streamlit reports clicks on scatter points, not on heatmap cells; the nearest point takes both
    click and hover.
    """
    figure.add_scatter(
        x=columns,
        y=rows,
        mode="markers",
        marker={"symbol": "square", "size": size, "opacity": 0},
        selected_marker_opacity=0,
        unselected_marker_opacity=0,
        customdata=np.stack([rows, columns], -1) if carried is None else carried,
        hovertext=hovertext,
        hoverinfo="text",
        showlegend=False,
    )


def outline_cell(figure: go.Figure, row: int, column: int, palette: Palette) -> None:
    """A frame around one cell of a heatmap."""
    figure.add_shape(
        type="rect",
        x0=column - 0.5,
        x1=column + 0.5,
        y0=row - 0.5,
        y1=row + 0.5,
        line={"color": palette.accent, "width": 3},
    )


def name_axes(figure: go.Figure, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Names of the rows and columns of a heatmap, the first row at the top."""
    figure.update_xaxes(
        tickvals=list(range(len(columns))),
        ticktext=list(columns),
        range=[-0.5, len(columns) - 0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=list(rows),
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )


def name_strips(figure: go.Figure, rows: Sequence[str]) -> None:
    """Names of rows of points, the first row at the top, with room above it for words."""
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=list(rows),
        range=[len(rows) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
    )


def largest(sizes: np.ndarray, count: int) -> np.ndarray:
    """The places of the largest `count` sizes, in their own order."""
    return np.sort(sizes.argsort()[::-1][:count])


def pattern_map(
    pattern: np.ndarray,
    labels: Sequence[str],
    palette: Palette,
    unit: str = "attention",
    signed: bool | None = None,
    bidirectional: bool = False,
) -> go.Figure:
    """One head's pattern [dest, src], destinations downwards, with both tokens on hover.

    Cells ahead of a destination are drawn of an encoder only (`bidirectional`).

    With another unit than attention, the values may have either sign, unless `signed` says that
    they do not: then colours are centred on 0.
    """
    shown = [plotly_text(display_token(label)) for label in labels]
    drawn = np.where(cells_seen(pattern.shape, bidirectional), pattern, np.nan)
    share = unit == "attention"
    signed = not share if signed is None else signed
    limit = 1 if share else max(float(np.abs(pattern).max(initial=0)), 1e-6)
    text = np.array([f"{i} {label}" for i, label in enumerate(shown)])
    figure = Chart(
        "heatmap",
        z=drawn,
        customdata=np.stack(np.broadcast_arrays(text[:, None], text[None, :]), -1),
        colorscale=colour_scale(palette.diverging if signed else palette.sequential),
        zmin=-limit if signed else 0,
        zmax=limit,
        hovertemplate="destination (query) %{customdata[0]}<br>source (key) %{customdata[1]}"
        f"<br>{unit} %{{z:{'+.3f' if signed else '.3f'}}}<extra></extra>",
        colorbar=scale_above(unit),
    )
    return finish_square(figure, labels, labels)


def scale_above(unit: str) -> dict[str, object]:
    """The scale of colours of cells: beside them it would take the width that a phone lacks."""
    return {
        "title": {"text": unit, "side": "top"},
        "orientation": "h",
        "thickness": 10,
        "y": 1,
        "yanchor": "bottom",
    }


def finish_square(figure: go.Figure, dests: Sequence[str], sources: Sequence[str]) -> go.Figure:
    """Axes of cells [dest, src] that are as wide as they are high: a stripe is a diagonal."""
    figure.update_xaxes(
        title="Source (key)",
        showgrid=False,
        tickangle=-90,
        constrain="domain",
        constraintoward="left",
        **token_ticks(sources, _CELL_TICKS),
    )
    figure.update_yaxes(
        title="Destination (query)",
        showgrid=False,
        autorange="reversed",
        scaleanchor="x",
        constrain="domain",
        constraintoward="top",
        **token_ticks(dests, _CELL_TICKS),
    )
    return finish(figure, height=PATTERN_HEIGHT, top=60)


def log_prob_line(
    log_probs: np.ndarray, labels: Sequence[str], half_length: int | None, palette: Palette
) -> go.Figure:
    """Log-probability of each next token, mean over sequences with one standard deviation.

    Args:
        log_probs: [batch, pos-1]; entry i scores token i+1.
        labels: Tokens of the sequence that the hover names, [pos].
        half_length: S, to shade the two halves; None for a prompt.
        palette: Colours of the theme.
    """
    batch, n = log_probs.shape
    position = np.arange(n)
    mean, sd = log_probs.mean(0), log_probs.std(0)
    figure = Chart()
    if batch > 1:
        figure.add_scatter(
            x=np.concatenate([position, position[::-1]]),
            # A log-probability is at most 0.
            y=np.concatenate([np.minimum(mean + sd, 0), (mean - sd)[::-1]]),
            fill="toself",
            fillcolor="rgba(96, 125, 220, 0.22)",
            line_width=0,
            hoverinfo="skip",
            name="± 1 sd over sequences",
        )
    figure.add_scatter(
        x=position,
        y=mean,
        mode="lines",
        line={"color": palette.sequential[3], "width": 2.5},
        customdata=_predicted(labels if batch == 1 else None, n),
        hovertemplate="%{customdata}: %{y:.2f} nats<extra></extra>",
        name="mean log-probability" if batch > 1 else "log-probability",
    )
    if half_length is not None:
        for (start, end), name, entries in _shade_halves(figure, half_length, palette):
            average = float(log_probs[:, entries].mean())
            figure.add_scatter(
                x=[start, end],
                y=[average, average],
                mode="lines",
                line={"color": palette.muted, "dash": "dash", "width": 1.5},
                hoverinfo="skip",
                name=f"{name}: {average:.2f}",
            )
    figure.update_xaxes(title="Position the prediction is made at")
    figure.update_yaxes(title="Log-probability of the next token (nats)")
    figure.update_layout(legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0})
    return finish(figure, height=400)


def effect_line(
    effect: np.ndarray, labels: Sequence[str] | None, half_length: int | None, palette: Palette
) -> go.Figure:
    """Loss increase at each next-token prediction; `labels` of the whole sequence, if it is one."""
    hover = _predicted(labels, len(effect))
    figure = bars_by_position(effect, hover, "%{customdata}: %{y:+.3f} nats", palette)
    if half_length is not None:
        for (start, end), name, entries in _shade_halves(figure, half_length, palette):
            figure.add_annotation(
                text=f"{name}<br>mean {float(effect[entries].mean()):+.2f}",
                x=(start + end) / 2,
                y=1,
                yref="paper",
                yanchor="bottom",
                showarrow=False,
                font_color=palette.muted,
            )
    # The names of the halves would widen the axis on a narrow screen.
    figure.update_xaxes(title="Position the prediction is made at", range=[-0.5, len(effect) - 0.5])
    if labels is not None:
        figure.update_xaxes(tickangle=-60, **token_ticks(labels[: len(effect)], BAR_TICKS))
    figure.update_yaxes(title="Loss increase (nats)", zerolinecolor=palette.muted)
    return finish(figure, height=340, top=44 if half_length is not None else 20)


def attribution_map(
    values: np.ndarray,
    components: Sequence[str],
    at: Sequence[str],
    towards: Sequence[str],
    palette: Palette,
) -> go.Figure:
    """Contributions [pos, component]; rows are named by the token the prediction is made at."""
    rows = [plotly_text(display_token(label)) for label in at]
    goals = [plotly_text(display_token(label)) for label in towards]
    limit = max(float(np.abs(values).max(initial=0)), 1e-6)
    hover = np.array(
        [
            f"at {i} “{row}”<br>towards “{goal}”"
            for i, (row, goal) in enumerate(zip(rows, goals, strict=True))
        ]
    )
    figure = Chart(
        "heatmap",
        z=values,
        x=list(components),
        customdata=np.broadcast_to(hover[:, None], values.shape),
        colorscale=colour_scale(palette.diverging),
        zmin=-limit,
        zmax=limit,
        xgap=1,
        text=np.broadcast_to(np.array(components), values.shape),
        hovertemplate="<b>%{text}</b><br>%{customdata}<br>%{z:+.2f} logits<extra></extra>",
        colorbar={"title": {"text": "logits", "side": "right"}, "thickness": 12},
    )
    # As categories, names that have no room on a narrow screen are left out.
    figure.update_xaxes(side="top", tickangle=-45, type="category", showgrid=False)
    figure.update_yaxes(
        autorange="reversed",
        tickvals=list(range(len(rows))),
        ticktext=[f"{plotly_text(short_token(label))} {i}" for i, label in enumerate(at)],
        showgrid=False,
    )
    return finish(figure, height=130 + 16 * len(rows), top=80)


def attribution_bars(
    values: np.ndarray, components: Sequence[str], palette: Palette, unit: str = "logits"
) -> go.Figure:
    """Contributions of all components at one position, in the model's order."""
    figure = Chart(
        "bar",
        x=list(components),
        y=values,
        marker_color=signed_colours(values, palette),
        hovertemplate=f"<b>%{{x}}</b> %{{y:+.3f}} {unit}<extra></extra>",
    )
    figure.update_xaxes(tickangle=-45)
    figure.update_yaxes(title=unit.capitalize(), zeroline=True, zerolinecolor=palette.muted)
    return finish(figure, height=340)


def _shade_halves(
    figure: go.Figure, half_length: int, palette: Palette
) -> list[tuple[tuple[float, float], str, slice]]:
    """Bands behind both halves; returns the span, name and entries of each.

    Entry S scores the first repeated token, which nothing could predict: it belongs to neither
    half, and stands unshaded between the two bands.
    """
    s = half_length
    figure.add_vrect(-0.5, s - 0.5, fillcolor=palette.first_half, line_width=0, layer="below")
    figure.add_vrect(
        s + 0.5, 2 * s - 0.5, fillcolor=palette.second_half, line_width=0, layer="below"
    )
    return [
        ((-0.5, s - 0.5), "first half", slice(0, s)),
        ((s + 0.5, 2 * s - 0.5), "second half", slice(s + 1, 2 * s)),
    ]


def _predicted(labels: Sequence[str] | None, n: int) -> list[str]:
    # Several sequences differ in their tokens: then the hover can only name the position.
    if labels is None:
        return [f"token {position + 1}" for position in range(n)]
    return [f"“{plotly_text(display_token(label))}”" for label in labels[1:]]


def _numbers(lines: Mapping[str, np.ndarray | None], layer: int, head: int) -> list[str]:
    return [
        f"{name} {table[layer, head]:.3f}"
        for name, table in lines.items()
        if table is not None and not np.isnan(table[layer, head])
    ]


def token_ticks(labels: Sequence[str], most: int) -> dict[str, list[int] | list[str]]:
    """Ticks of an axis whose positions are tokens: their text, at most `most` of them."""
    # Numbers as positions, tokens as their text: a category axis would merge equal tokens.
    return some_ticks([plotly_text(short_token(label)) for label in labels], most)


def some_ticks(names: Sequence[str], most: int) -> dict[str, list[int] | list[str]]:
    """Ticks of an axis whose positions have names: at most `most` of them, evenly spaced."""
    step = -(-len(names) // most)
    places = list(range(0, len(names), step))
    return {"tickvals": places, "ticktext": [names[place] for place in places]}


def colour_scale(colours: Sequence[str]) -> list[tuple[float, str]]:
    """Colours at equal distances, as Plotly wants them."""
    return [(i / (len(colours) - 1), colour) for i, colour in enumerate(colours)]


def bars_by_position(
    values: np.ndarray, customdata: Sequence[str], hover: str, palette: Palette
) -> go.Figure:
    """A bar for each position, coloured by sign; `hover` says how `customdata` and y read."""
    return Chart(
        "bar",
        x=np.arange(len(values)),
        y=values,
        marker_color=signed_colours(values, palette),
        marker_line_width=0,
        customdata=customdata,
        hovertemplate=f"{hover}<extra></extra>",
    )


def signed_colours(values: np.ndarray, palette: Palette) -> list[str]:
    """A colour for each bar: what is above 0, and what is not."""
    return [palette.diverging[3 if value > 0 else 1] for value in values]


def finish(figure: go.Figure, height: int, top: int = 20) -> go.Figure:
    """Size, margins and a transparent background: the last step of every figure."""
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": top, "b": 10},
        font_size=_FONT,
        plot_bgcolor="rgba(0,0,0,0)",
        paper_bgcolor="rgba(0,0,0,0)",
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
