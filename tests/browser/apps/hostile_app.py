"""Every view that draws tokens or names, fed with nothing but hostile ones.

Stands for a model whose vocabulary holds such strings whole, which no real tokenizer here does.
"""

import numpy as np
import streamlit as st

from analysis.definitions import Definition
from app import circuitsvis, figures
from app.chips import Chip, chips_html
from app.frame import draw, figure_frame
from app.text import display_token
from app.theme import palette
from tests.hostile import HOSTILE


def main() -> None:
    """Draw the page."""
    st.set_page_config(layout="wide")
    theme, n = palette(), len(HOSTILE)
    pattern = np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]
    log_probs = -np.ones((1, n - 1))
    everything = " ".join(HOSTILE)
    with figure_frame(
        everything, everything, Definition("Hostile", "tokens", everything, "none", "none")
    ):
        page, height = circuitsvis.attention_heads(
            np.stack([pattern] * 3), HOSTILE, HOSTILE[:3], dark=theme.dark
        )
        st.iframe(page, height=height)
    draw(figures.pattern_map(pattern, HOSTILE, theme), key="pattern")
    draw(figures.log_prob_line(log_probs, HOSTILE, None, theme), key="line")
    draw(figures.effect_line(log_probs[0], HOSTILE, None, theme), key="effect")
    draw(
        figures.attribution_map(pattern, [f"L0H{i}" for i in range(n)], HOSTILE, HOSTILE, theme),
        key="attribution",
    )
    card = [(display_token(text), "1%") for text in HOSTILE]
    st.html(chips_html([Chip(text, True, card, text) for text in HOSTILE], theme))
    st.dataframe({"Token": [display_token(text) for text in HOSTILE]})
    st.text(everything)


if __name__ == "__main__":
    main()
