"""Containers side by side."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

# Pixels: two metrics side by side on a narrow screen, where columns would cut their numbers off.
METRIC = 185


def controls() -> DeltaGenerator:
    """Where a page's choices stand, which presenter mode leaves out."""
    return st.container(key="page-controls")


def beside(key: str, *widths: int) -> list[DeltaGenerator]:
    """Containers in line, at least so many pixels wide each; what does not fit goes below.

    Streamlit's own columns are squeezed until the window is narrower than 640 pixels.
    """
    names = [f"{key}-{i}" for i in range(len(widths))]
    rules = (
        f"div:has(>.st-key-{name}){{flex:{width} 1 {width}px}}"
        for name, width in zip(names, widths, strict=True)
    )
    st.html(f"<style>{''.join(rules)}</style>")
    row = st.container(horizontal=True)
    return [row.container(key=name) for name in names]
