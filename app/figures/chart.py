"""A Plotly figure that costs little: kept as plain dictionaries, checked only when it is read.

`go.Figure` checks and copies property by property, on every figure of every page. `Chart` takes the
same calls, as far as the figures of one plot here need them, and hands Streamlit the finished
dictionaries. Whoever reads `data` or `layout`, as exports and tests do, gets those of a `go.Figure`
made of it.
"""

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any, Self

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

# Pixels that a square figure is higher than wide: it has its scale above. The style sheet of pages
# adds as many.
SQUARE_BESIDE = 72
_WHOLE = {"paper_bgcolor", "plot_bgcolor", "error_x"}  # names that have an underscore of their own
_NUMBERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4)} | {"f4", "f8"}
_SHORTER = (np.int8, np.int16, np.int32)


class Chart(go.Figure):
    """A figure of one plot, with its first trace if `kind` names one.

    `data` and `layout` are made anew each time: changes to them are lost.
    """

    def __init__(self, kind: str = "", **properties: Any):
        # Not the constructor of `go.Figure`: its checks are what this does without.
        self._traces: list[dict[str, Any]] = []
        self._look: dict[str, Any] = {}
        if kind:
            self._add(kind, properties)

    @property
    def data(self) -> Any:
        """The traces, checked: to read."""
        return self._checked().data

    @property
    def layout(self) -> Any:
        """The layout, checked: to read."""
        return self._checked().layout

    @property
    def frames(self) -> tuple[()]:
        """Nothing moves."""
        return ()

    @property
    def square_width(self) -> int | None:
        """Pixels that it wants where a step to the right is as long as one upwards."""
        square = "scaleanchor" in self._look.get("yaxis", {})
        return int(self._look["height"]) - SQUARE_BESIDE if square else None

    def to_dict(self) -> dict[str, Any]:
        """What a browser is sent; numbers as bytes."""
        layout = _sent(self._look) | {"template": _template(pio.templates.default)}
        return {"data": _sent(self._traces), "layout": layout}

    def add_scatter(self, **properties: Any) -> Self:
        """Points or a line."""
        return self._add("scatter", properties)

    def add_bar(self, **properties: Any) -> Self:
        """Bars."""
        return self._add("bar", properties)

    def add_shape(self, **properties: Any) -> Self:
        """A shape."""
        self._look.setdefault("shapes", []).append(_merge({}, properties))
        return self

    def add_annotation(self, **properties: Any) -> Self:
        """A text."""
        self._look.setdefault("annotations", []).append(_merge({}, properties))
        return self

    def add_hline(self, y: float, **properties: Any) -> Self:
        """A line across the plot."""
        ends = {"x0": 0, "x1": 1, "xref": "x domain", "y0": y, "y1": y, "yref": "y"}
        return self.add_shape(type="line", **ends, **properties)

    def add_vline(self, x: float, **properties: Any) -> Self:
        """A line up the plot."""
        ends = {"x0": x, "x1": x, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain"}
        return self.add_shape(type="line", **ends, **properties)

    def add_vrect(self, x0: float, x1: float, **properties: Any) -> Self:
        """A band up the plot."""
        ends = {"x0": x0, "x1": x1, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain"}
        return self.add_shape(type="rect", **ends, **properties)

    def update_traces(self, selector: Mapping[str, Any] | None = None, **properties: Any) -> Self:
        """Change the traces that have what `selector` says."""
        for trace in self._traces:
            if all(trace.get(name) == value for name, value in (selector or {}).items()):
                _merge(trace, properties)
        return self

    def update_layout(self, **properties: Any) -> Self:
        """Change the layout; what is a dictionary in it is added to."""
        _merge(self._look, properties)
        return self

    def update_xaxes(self, **properties: Any) -> Self:
        """Change the horizontal axis."""
        return self.update_layout(xaxis=properties)

    def update_yaxes(self, **properties: Any) -> Self:
        """Change the vertical axis."""
        return self.update_layout(yaxis=properties)

    def update_annotations(self, **properties: Any) -> Self:
        """Change every text that stands beside the traces."""
        for annotation in self._look.get("annotations", []):
            _merge(annotation, properties)
        return self

    def _add(self, kind: str, properties: Mapping[str, Any]) -> Self:
        self._traces.append(_merge({}, properties) | {"type": kind})
        return self

    def _checked(self) -> go.Figure:
        return go.Figure({"data": self._traces, "layout": self._look})


@cache
def _template(name: str | None) -> Any:
    # Of the theme, the same for all figures: nine tenths of a small one.
    return go.Figure().to_dict()["layout"].get("template")


def _merge(into: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Add properties as `go.Figure` reads them: `line_width`, None for nothing, a title as text."""
    for name, value in properties.items():
        first, _, rest = (name, "", "") if name in _WHOLE else name.partition("_")
        if rest:
            value = {rest: value}
        elif first == "title" and isinstance(value, str):
            value = {"text": value}
        if isinstance(value, Mapping):
            _merge(into.setdefault(first, {}), value)
        elif value is None:
            into.pop(first, None)
        else:
            into[first] = value
    return into


def _sent(value: Any) -> Any:
    """Dictionaries and lists with their arrays as Plotly's typed arrays, where it has such."""
    if isinstance(value, dict):
        return {name: _sent(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return _typed_array(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_sent(each) for each in value]
    return value


def _typed_array(values: np.ndarray) -> Any:
    if values.dtype == np.int64 and values.size:
        low, high = values.min(), values.max()
        fits = (t for t in _SHORTER if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
        values = values.astype(next(fits, np.int64))
    kind = values.dtype.str[1:]
    if kind not in _NUMBERS or not values.size:
        return values.tolist()
    sent = {"dtype": kind, "bdata": base64.b64encode(values.tobytes()).decode("ascii")}
    return sent | {"shape": str(values.shape)[1:-1]} if values.ndim > 1 else sent
