"""Figures and tables that act on a click."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn
from urllib.parse import urlencode

import plotly.graph_objects as go
import streamlit as st

from analysis.head import Head
from app.frame.frame import ABSENT, offer_figure, offer_rows, plotly_chart
from app.links.link import left_out, whole_link
from app.links.pages import page_info
from app.links.parsers import Value
from app.links.selection import Selection
from app.links.session import choose, link_from_here
from app.links.subject import Subject
from app.shell.navigation import go_on_leaving, leave_for, plan_to_leave, streamlit_page
from app.text import escape_html

# What a link to a page says; else that it opens the head there.
_OPENS = {
    "head": "Open {}",
    "corpus": "Where else in text does {} act?",
    "compare": "Compare {} with another head",
    "sets": "What {} does over a set of prompts",
}
Rows = Sequence[Mapping[str, object]]
_OF_A_HEAD = {"model", "input", "layer", "head"}


def draw_head_map(figure: go.Figure, key: str) -> None:
    """A figure of `figures.head_map`; a click on a cell puts its head in focus."""
    draw_choice(figure, key, ("layer", "head"))


def _clicked_numbers(event: Any) -> list[int]:
    """The whole numbers that the clicked point carries; none where the browser sent others."""
    points = event["selection"]["points"]
    data = points[0].get("customdata") if points else None
    # Plotly sends arrays as bytes; the browser then reports a row of them as {"0": .., "1": ..}.
    numbers = list(data.values()) if isinstance(data, Mapping) else data
    if not isinstance(numbers, list) or not all(isinstance(n, int | float) for n in numbers):
        return []
    return [int(n) for n in numbers if math.isfinite(n)]


def _clicked_row(event: Any, count: int) -> int | None:
    """Which of `count` rows was ticked, if one was."""
    rows = event["selection"]["rows"]
    return rows[0] if rows and rows[0] in range(count) else None


def _draw_clickable(
    figure: go.Figure,
    key: str,
    act: Callable[[list[int]], None],
    paper: Callable[[str], bytes] | None = None,
    rows: Rows | None = None,
) -> Any:
    """A figure that hands the whole numbers of a clicked point to `act`, before the next run."""

    def take() -> None:
        if numbers := _clicked_numbers(st.session_state[key]):
            act(numbers)

    offer_figure(figure, key, paper, rows=rows)
    return plotly_chart(figure, key, on_select=take, selection_mode="points")


def draw_choice(
    figure: go.Figure,
    key: str,
    parameters: tuple[str, ...],
    paper: Callable[[str], bytes] | None = None,
) -> None:
    """A figure whose points carry a whole number for each of `parameters`; a click sets those."""
    _draw_clickable(figure, key, partial(_choose_numbers, parameters), paper)


def _choose_numbers(parameters: tuple[str, ...], numbers: list[int]) -> None:
    if len(numbers) == len(parameters):
        choose(**dict(zip(parameters, numbers, strict=True)))


def draw_head_graph(
    figure: go.Figure, key: str, selection: Selection, parameters: tuple[str, ...], rows: Rows
) -> None:
    """A graph of heads: a click on a node opens its dossier, one on an edge sets `parameters`.

    Nodes carry layer and head, edges a whole number for each parameter: any count but two. An edge
    with another count of numbers does nothing. `rows` are the edges with their numbers.
    """
    event = _draw_clickable(figure, key, partial(_choose_numbers, parameters), rows=rows)
    _open_clicked(selection, event)


def draw_parts(
    figure: go.Figure,
    key: str,
    take_head: Callable[[Head], None],
    take_edge: Callable[[int], None],
    rows: Rows,
) -> None:
    """A graph of heads: a click on a node or an edge hands it over, before the next run.

    Nodes carry layer and head, edges one number. `rows` are the edges with their numbers.
    """

    def act(numbers: list[int]) -> None:
        if len(numbers) == 1:
            take_edge(numbers[0])
        elif len(numbers) == 2 and min(numbers) >= 0:
            take_head(Head(*numbers))

    _draw_clickable(figure, key, act, rows=rows)


def draw_heads_to_open(
    figure: go.Figure, key: str, selection: Selection, subject: Subject | None = None
) -> None:
    """A figure whose points carry layer and head; a click opens that head's dossier.

    `subject` is what it is about, where that is not what the frame is about.
    """
    offer_figure(figure, key, subject=subject)
    event = plotly_chart(figure, key, on_select="rerun", selection_mode="points")
    _open_clicked(selection, event)


def _open_clicked(selection: Selection, event: Any) -> None:
    sizes = (selection.info.n_layers, selection.info.n_heads)
    numbers = _clicked_numbers(event)
    if len(numbers) == 2 and all(n in range(size) for n, size in zip(numbers, sizes, strict=True)):
        go_to_head(selection, Head(*numbers))


def draw_options(
    figure: go.Figure,
    key: str,
    options: Sequence[Mapping[str, Value]],
    rows: Rows | None = None,
) -> None:
    """A figure whose points carry their place in `options`; a click chooses those values.

    `rows` are its numbers, where the places of its points are none.
    """

    def take(numbers: list[int]) -> None:
        if numbers[0] in range(len(options)):
            choose(**options[numbers[0]])

    _draw_clickable(figure, key, take, rows=rows)


def draw_rows_to_choose(
    rows: Sequence[Mapping[str, object]],
    options: Sequence[Mapping[str, Value]],
    key: str,
    column_config: Mapping[str, Any] | None = None,
) -> None:
    """A table with one row for each of `options`; a tick chooses those values."""

    def take() -> None:
        row = _clicked_row(st.session_state[key], len(options))
        if row is not None:
            choose(**options[row])

    offer_rows(rows, key)
    st.dataframe(
        rows,
        hide_index=True,
        key=key,
        on_select=take,
        selection_mode="single-row",
        column_config=column_config,
        placeholder=ABSENT,
    )


def draw_rows_to_open(
    rows: Sequence[Mapping[str, object]],
    heads: Sequence[Head],
    key: str,
    selection: Selection,
) -> None:
    """A table with one row for each of `heads`; a tick opens that head's dossier."""
    numbers = {name for row in rows for name, value in row.items() if isinstance(value, float)}
    offer_rows(rows, key)
    event = st.dataframe(
        rows,
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "Head": st.column_config.TextColumn(pinned=True),
            **{name: st.column_config.NumberColumn(format="%.3f") for name in numbers},
        },
        placeholder=ABSENT,
    )
    row = _clicked_row(event, len(heads))
    if row is not None:
        go_to_head(selection, heads[row])


def draw_linked_heads(
    rows: Rows,
    heads: Sequence[Head],
    key: str,
    selection: Selection,
    column_config: Mapping[str, Any] | None = None,
) -> None:
    """A table with one row for each of `heads`, whose column `Head` is a link to its dossier."""
    offer_rows(rows, key)
    links = [
        {**row, "Head": _address(selection, head)} for row, head in zip(rows, heads, strict=True)
    ]
    # What is shown of an address is its end, so that the column is sorted and searched as well.
    link = st.column_config.LinkColumn(display_text="#(.*)")
    config = {"Head": link, **(column_config or {})}
    st.dataframe(links, hide_index=True, key=key, column_config=config, placeholder=ABSENT)


def draw_listed_heads(
    rows: Rows,
    heads: Sequence[Head],
    key: str,
    selection: Selection,
    bars: str = "",
) -> None:
    """A table of `heads` in their order, each a link to its dossier, that is there at once.

    For a page of pictures: a table to sort and search takes a browser as long as all of those.

    Args:
        rows: One for each head, with its label as `Head` and numbers, or None where there is none.
        heads: The heads.
        key: What the exported table is called.
        selection: The view.
        bars: The column whose numbers, 0 to 1, have a bar each.
    """
    offer_rows(rows, key)
    names = [escape_html(name) for name in rows[0]]
    titles = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(
        _listed(row, escape_html(_address(selection, head)), bars)
        for row, head in zip(rows, heads, strict=True)
    )
    st.html(
        f'<div class="hs-heads" tabindex="0"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _listed(row: Mapping[str, object], address: str, bars: str) -> str:
    """A row of `draw_listed_heads`; `address` as it stands in HTML."""
    label = escape_html(str(row["Head"]))
    cells = [f'<th scope="row"><a href="{address}" target="_blank">{label}</a></th>']
    for name, value in row.items():
        if name == "Head":
            continue
        known = isinstance(value, float) and math.isfinite(value)
        text = f"{value:.3f}" if known else ABSENT
        bar = f'<i style="width:{100 * value:.1f}%"></i>' if known else ""  # type: ignore[operator]
        cells.append(f"<td>{f'<span>{bar}</span>' if name == bars else ''}{text}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _address(selection: Selection, head: Head) -> str:
    """A head's dossier, beside the page that is open; it ends in `#L5H1`."""
    values = {**selection.values, "layer": head.layer, "head": head.head}
    return f"head?{urlencode(whole_link('head', values))}#{head.label}"


def go_to_head(selection: Selection, head: Head, page: str = "head") -> NoReturn:
    """Leave for a head's dossier, with the same model and input; for clicks on tables and dots."""
    leave_for(page, _choose_head(selection, head, page))


def _choose_head(selection: Selection, head: Head, page: str) -> dict[str, str]:
    """Choose what another page is to show of a head; the link of that."""
    values = {**selection.values, "layer": head.layer, "head": head.head}
    link = link_from_here(page, values)
    # Chosen as well as linked: a prompt that is too long for a link comes along.
    choose(**{key: values[key] for key in _OF_A_HEAD | (link.keys() & values.keys())})
    return link


def open_more_text(selection: Selection, head: Head | None = None) -> None:
    """From figures of one input to the same over a set of prompts, and to a head over a text.

    Without `head` it is the link's, where that has one.
    """
    layer, number = selection["layer"], selection["head"]
    if head is None and layer is not None and number is not None:
        head = Head(layer, number)
    with st.container(horizontal=True, vertical_alignment="center"):
        if page_info(selection.page).over_sets:
            # No link: a prompt that is too long for one would be lost on the way back.
            st.button(
                "The same over a set of prompts",
                icon=":material/arrow_forward:",
                type="tertiary",
                on_click=choose,
                kwargs={"input": "set"},
            )
        elif head:
            open_head(selection, head, "sets")
        if head:
            open_head(selection, head, "corpus")


def open_head(selection: Selection, head: Head, page: str = "head", role: str = "") -> None:
    """A link to a head on another page, by default its dossier, with the same model and input.

    `role` tells two of them apart that may be the same head.
    """
    values = {**selection.values, "layer": head.layer, "head": head.head}
    label = _OPENS.get(page, f"Open {{}} in {page.capitalize()}").format(head.label)
    icon, name = ":material/arrow_forward:", f"{selection.info.name} {head.label}"
    if "prompt" in left_out(page, values):
        # A link would leave the prompt behind; a button takes it along.
        # By a callback: what a component reports just then would end the run ahead of this place.
        if st.button(
            label,
            icon=icon,
            type="tertiary",
            key=f"{page} {name} {role}",
            on_click=lambda: plan_to_leave(page, _choose_head(selection, head, page)),
        ):
            go_on_leaving(selection.page)  # a run of this part alone has no page that begins
        return
    st.page_link(
        streamlit_page(page), label=label, icon=icon, query_params=link_from_here(page, values)
    )
