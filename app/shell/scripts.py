"""Components that are a script and no picture."""

from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from app.components.scripts import joined


@cache
def script_component(name: str) -> ComponentRenderer:
    """The component of the script `<name>.js` beside this module."""
    script = Path(__file__).parent / f"{name}.js"
    return st.components.v2.component(name, js=joined(script))
