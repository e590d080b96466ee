"""What a person takes along of a figure."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from analysis.definitions import Quantity
from analysis.head import Head
from app.frame.export import MIME, About, Exhibit, exhibit_files, file_name, file_of
from app.links.link import link_parameters
from app.links.session import current_selection
from app.shell.share import view_link
from app.text import markdown_text
from app.theme import palette

_FOLDER = Path(__file__).parent


@cache
def _image_buttons() -> ComponentRenderer:
    return st.components.v2.component(
        "image_buttons",
        js=(_FOLDER / "image_buttons.js").read_text(encoding="utf-8"),
        css=(_FOLDER / "image_buttons.css").read_text(encoding="utf-8"),
    )


def draw_exports(
    title: str, reading: str, definitions: Sequence[Quantity], exhibits: Sequence[Exhibit]
) -> None:
    """Buttons for each exhibit; a file is made when its button is pressed."""
    selection = current_selection()
    about = About(
        title,
        reading,
        tuple(definitions),
        selection.info.title,
        link_parameters(selection.page, selection.values),
    )
    link, theme = view_link(selection.page, about.view), palette()
    heads = re.findall(r"L\d+H\d+", title)
    if selection.page == "head":
        heads = [Head(selection["layer"], selection["head"]).label]
    quantity = definitions[0].name if definitions else title
    for number, exhibit in enumerate(exhibits):
        name = file_name(selection.info.name, heads, quantity)
        if len(exhibits) > 1:
            name = f"{name}_{number + 1}"
            st.markdown(f"**{markdown_text(_heading(exhibit.name))}**")
        files = exhibit_files(exhibit, about, theme, name, link)
        with st.container(horizontal=True, vertical_alignment="center"):
            if exhibit.chart:
                _image_buttons()(
                    key=f"images {exhibit.name}", data={"target": exhibit.chart, "name": name}
                )
            for kind, make in files.items():
                st.download_button(
                    kind,
                    make,
                    file_name=file_of(name, kind),
                    mime=MIME[kind],
                    key=f"{kind} {exhibit.name}",
                    on_click="ignore",
                )


def _heading(name: str) -> str:
    """An exhibit's name as a heading; heads in it keep their capitals."""
    text = name.replace("-", " ")
    return text[:1].upper() + text[1:]
