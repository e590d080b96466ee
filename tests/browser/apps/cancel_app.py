"""Work of two minutes that begins by itself, between two figures."""

import time

import streamlit as st

from app.frame.frame import part
from app.sections.shared.cancel import stoppable

st.header("Work")
with part():
    with stoppable("Every head") as progress:
        for step in range(1200):
            time.sleep(0.1)
            progress(step, 1200)
    st.text("Done")
st.text("The rest of the page")
