"""Ways on from the start page: three doors, and finished views."""

import streamlit as st

from app.links.link import whole_link
from app.links.selection import Selection
from app.links.session import own_view
from app.shell.follow import draw_join
from app.shell.navigation import streamlit_page
from app.shell.page import go_to_view
from app.shell.present import draw_room_door
from app.shell.presets import PRESETS

_FORWARD = ":material/arrow_forward:"


def draw_doors(selection: Selection) -> None:
    """Three ways on."""
    doors = (
        ("learn", "The lesson", "Find an induction head, test it and explain it, step by step."),
        ("finder", "Find a head", "Every head with every score: sort, filter, open."),
    )
    lesson, find, room = st.columns(3)
    for column, (page, title, text) in zip((lesson, find), doors, strict=True):
        with column.container(border=True, height="stretch", key=f"card-{page}"):
            st.page_link(streamlit_page(page), label=f"**{title}**", icon=_FORWARD)
            st.write(text)
    with room.container(border=True, height="stretch"):
        draw_room_door("start", own_view(selection))
        st.write("Whoever types its letters sees the view that you are at. Or join one:")
        draw_join(go_to_view)


def draw_presets() -> None:
    """Finished views, each a card that is a link."""
    st.subheader("Open a finished view", anchor=False)
    for column, preset in zip(st.columns(len(PRESETS)), PRESETS, strict=True):
        with column.container(border=True, height="stretch", key=f"card-{preset.title}"):
            st.page_link(
                streamlit_page(preset.page),
                label=f"**{preset.title}**",
                icon=_FORWARD,
                query_params=whole_link(preset.page, preset.values),
            )
            st.write(preset.notice)
