"""Every view that draws tokens or names, fed with nothing but hostile ones.

Stands for a model whose vocabulary holds such strings whole, which no real tokenizer here does.
"""

import numpy as np
import streamlit as st

from analysis.definitions import Quantity
from analysis.models.catalog import list_models
from app.components import circuitsvis
from app.components.chips import Chip, chips_html
from app.figures import base as figures
from app.frame.frame import draw, figure_frame
from app.links import session as selection
from app.links.parameters import PARAMETERS
from app.shell.theme import palette
from app.text import display_token
from tests.hostile import MANY

# Tokens of one map, whose cells carry two each: of all at once it would be tens of megabytes.
PART = 50


def main() -> None:
    """Draw the page."""
    st.set_page_config(layout="wide")
    # A frame's export names the view it stands in.
    defaults = {parameter.key: parameter.default_on("attention") for parameter in PARAMETERS}
    selection._state().selection = selection.Selection("start", defaults, list_models()[0])
    theme, n = palette(), len(MANY)
    pattern = np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]
    log_probs = -np.ones((1, n - 1))
    everything = " ".join(MANY)
    with figure_frame(
        everything,
        everything,
        Quantity("Hostile", "tokens", everything, "none", "none", function="tokenize"),
    ):
        page, height = circuitsvis.attention_heads(
            # As many as it draws in good time.
            np.stack([pattern[:60, :60]] * 3),
            MANY[-60:],
            MANY[:3],
            dark=theme.dark,
        )
        st.iframe(page, height=height)
        columns = pattern[:, :2]
        st.iframe(circuitsvis.text_neuron_activations(columns, MANY, 0, range(2), dark=theme.dark))
    for start in range(0, n, PART):
        labels = MANY[start : start + PART]
        square = pattern[: len(labels), : len(labels)]
        draw(figures.pattern_map(square, labels, theme), key=f"pattern {start}")
        rows = figures.attribution_map(square[:, :2], MANY[:2], labels, labels, theme)
        draw(rows, key=f"attribution {start}")
    draw(figures.log_prob_line(log_probs, MANY, None, theme), key="line")
    draw(figures.effect_line(log_probs[0], MANY, None, theme), key="effect")
    shown = [display_token(text) for text in MANY]
    # A card holds a few guesses; each string is in some card.
    cards = [[(shown[i], "1%"), (shown[i - 1], "1%")] for i in range(n)]
    chips = [Chip(text, True, card, text) for text, card in zip(MANY, cards, strict=True)]
    st.html(chips_html(chips, theme))
    st.dataframe({"Token": shown})
    st.text(everything)


if __name__ == "__main__":
    main()
