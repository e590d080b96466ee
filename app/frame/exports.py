"""What a person takes along of a figure."""

from functools import cache, partial
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from app.components.scripts import joined
from app.compute.server import current_server
from app.frame.export import (
    MIME,
    Exhibit,
    Frame,
    bytes_needed,
    exhibit_files,
    file_name,
    file_of,
)
from app.frame.paper import inline_svg
from app.shell.share import view_link
from app.shell.theme import palette
from app.shell.visitors import page_taker
from app.text import markdown_text, plotly_text

_FOLDER = Path(__file__).parent


@cache
def _image_buttons() -> ComponentRenderer:
    return st.components.v2.component(
        "image_buttons",
        js=joined(_FOLDER / "image_buttons.js"),
        css=(_FOLDER / "image_buttons.css").read_text(encoding="utf-8"),
    )


def draw_exports(frame: Frame) -> None:
    """Buttons for each exhibit; a file is made when its button is pressed."""
    exports, taker = current_server().exports, page_taker()
    for exhibit in frame.exhibits:
        if len(frame.exhibits) > 1:
            st.markdown(f"**{markdown_text(_heading(exhibit))}**")
        about = frame.about(exhibit)
        name = file_name(about.subject, exhibit.name)
        link = view_link(about.subject.selection.page, about.view)
        files = exhibit_files(exhibit, about, palette(), name, link)
        table = exhibit.table()
        if refusal := table.too_long:
            st.caption(refusal)
        with st.container(horizontal=True, vertical_alignment="center"):
            if exhibit.chart or exhibit.picture:
                _image_buttons()(
                    key=f"images {exhibit.name}",
                    data={
                        "target": exhibit.chart,
                        "picture": inline_svg(exhibit.picture(about.origin))
                        if exhibit.picture
                        else None,
                        "name": name,
                        # Plotly reads markup in what it draws.
                        "title": plotly_text(about.title),
                        "origin": plotly_text(about.origin),
                    },
                )
            for kind, make in files.items():
                st.download_button(
                    kind,
                    partial(exports.make, taker, bytes_needed(kind, table), make),
                    file_name=file_of(name, kind),
                    mime=MIME[kind],
                    key=f"{kind} {exhibit.name}",
                    on_click="ignore",
                )


def _heading(exhibit: Exhibit) -> str:
    """What an exhibit is called; heads in it keep their capitals."""
    text = exhibit.title or exhibit.name.replace("-", " ")
    return text[:1].upper() + text[1:]
