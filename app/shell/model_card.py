"""What a model is and what can be said of it, for the start page."""

import streamlit as st

from analysis.models.capabilities import allowances
from analysis.models.info import ModelInfo
from app.text import markdown_text


def draw_allowances(info: ModelInfo) -> None:
    """One line for each analysis: yes, or why it is not defined for the model."""
    rows = allowances(info)
    allowed = sum(not row.reason for row in rows)
    with st.expander(f"What this model allows: {allowed} of {len(rows)} kinds of analysis"):
        # A table, not a dataframe: reasons are sentences, which have to wrap.
        st.table(
            {
                "Analysis": [row.analysis for row in rows],
                "Allowed": [
                    markdown_text(f"No. {row.reason}" if row.reason else f"Yes. {row.note}".strip())
                    for row in rows
                ],
            }
        )
