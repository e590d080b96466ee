"""What the canary has to notice: each kind of place for text, with its escape taken away."""

import json
from unittest.mock import patch

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app.components import chips, circuitsvis
from app.shell.theme import palette
from tests.hostile import MANY


def as_it_is(text: str) -> str:
    """No escape."""
    return text


def main() -> None:
    """Draw the one that the address names."""
    sink, n = st.query_params["sink"], len(MANY)
    if sink == "html":
        with patch.object(chips, "escape_html", as_it_is):
            st.html(
                chips.chips_html([chips.Chip(text, True, [], text) for text in MANY], palette())
            )
    elif sink == "markdown":
        for text in MANY:
            st.markdown(text)
    elif sink == "plotly":
        # Ticks cut a token before its markup ends; titles and hovers do not.
        st.plotly_chart(go.Figure(layout={"title": {"text": "".join(MANY)}}))
    elif sink == "script":
        with patch.object(circuitsvis, "script_json", json.dumps):
            frame, _ = circuitsvis.attention_heads(np.eye(40)[None], MANY[:40], "h", dark=False)
        st.iframe(frame)
    else:
        with patch.object(circuitsvis, "inert_html", as_it_is):
            frame = circuitsvis.text_neuron_activations(
                np.ones((n, 2)), MANY, 0, range(2), dark=False
            )
        st.iframe(frame)


if __name__ == "__main__":
    main()
