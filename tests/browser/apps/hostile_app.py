"""Every view that draws tokens or names, fed with nothing but hostile ones.

Stands for a model whose vocabulary holds such strings whole, which no real tokenizer here does.
"""

import numpy as np
import streamlit as st

from analysis.catalog import list_models
from analysis.definitions import Definition
from app import circuitsvis, figures, selection
from app.chips import Chip, chips_html
from app.frame import draw, figure_frame
from app.selection import PARAMETERS
from app.text import display_token
from app.theme import palette
from tests.hostile import MANY


def main() -> None:
    """Draw the page."""
    st.set_page_config(layout="wide")
    # A frame's export names the view it stands in.
    defaults = {parameter.key: parameter.default for parameter in PARAMETERS}
    selection._state().selection = selection.Selection("start", defaults, list_models()[0])
    theme, n = palette(), len(MANY)
    pattern = np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]
    log_probs = -np.ones((1, n - 1))
    everything = " ".join(MANY)
    with figure_frame(
        everything, everything, Definition("Hostile", "tokens", everything, "none", "none")
    ):
        page, height = circuitsvis.attention_heads(
            # As many as it draws in good time.
            np.stack([pattern[:60, :60]] * 3),
            MANY[-60:],
            MANY[:3],
            dark=theme.dark,
        )
        st.iframe(page, height=height)
    draw(figures.pattern_map(pattern, MANY, theme), key="pattern")
    draw(figures.log_prob_line(log_probs, MANY, None, theme), key="line")
    draw(figures.effect_line(log_probs[0], MANY, None, theme), key="effect")
    draw(
        figures.attribution_map(pattern, [f"L0H{i}" for i in range(n)], MANY, MANY, theme),
        key="attribution",
    )
    card = [(display_token(text), "1%") for text in MANY]
    st.html(chips_html([Chip(text, True, card, text) for text in MANY], theme))
    st.dataframe({"Token": [display_token(text) for text in MANY]})
    st.text(everything)


if __name__ == "__main__":
    main()
