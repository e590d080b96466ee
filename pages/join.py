"""Join: the way into a presenter's room by the code on their screen."""

import streamlit as st

from app.shell.follow import draw_join
from app.shell.page import go_to_view, open_page

open_page("join")
draw_join(go_to_view)
st.caption(
    "Your page then goes where the presenter's goes. You can look around by yourself at any time, "
    "and come back with one click."
)
