"""One computation at a time, ten seconds each: for the queue, and for tabs that are closed."""

import time

import streamlit as st

from app.components.progress import progress_bar
from app.compute import admission
from app.compute.server import current_server
from app.shell.visitors import recognise_visitors


@st.cache_resource
def one_at_a_time() -> admission.Admission:
    """The queue of this server."""
    return admission.Admission(max_bytes=1, at_once=1, max_waiting=9)


recognise_visitors()
st.header("Queue")
with one_at_a_time().admitted(1, current_server().visitor()), progress_bar("Working") as progress:
    for step in range(1200):
        time.sleep(0.1)
        progress(step, 1200)
st.text("Done")
