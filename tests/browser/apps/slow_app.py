"""A computation of three seconds, and what the page says meanwhile."""

import time

import streamlit as st

from app.compute.server import current_server
from app.shell.visitors import recognise_visitors

recognise_visitors()
st.header("Slow")
who = current_server().visitor()
who.starts("Running *Alpha* on 10 × 101 tokens…")
time.sleep(3)
who.ends()
st.text("Done")
