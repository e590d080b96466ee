"""Tokens: the prompt as the model sees it, and which next tokens it gets right."""

import numpy as np
import streamlit as st

from analysis.definitions import LOG_PROBS, LOSS, NEXT_TOKENS, TOKENS
from app.components.chips import Chip, chips_html
from app.compute import calls
from app.frame.export import Exhibit, as_rows, record_table
from app.frame.frame import draw_table, figure_frame, offer, offer_rows, part
from app.frame.layout import METRIC
from app.links.parameters import MAX_IDS
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.sequence import choose_sequence
from app.sections.encoders import draw_masked_tokens
from app.sections.shared.speakers import NAMES, legend_html, part_colours
from app.shell.page import open_page
from app.shell.theme import palette
from app.text import display_token

selection = open_page("tokens")
if selection.info.bidirectional:
    draw_masked_tokens(selection)
    st.stop()
stats = calls.next_token_stats(selection)
tokens = calls.tokens_of(selection)
row = choose_sequence(selection, tokens)
labels, ids = tokens.labels[row], tokens.ids[row]
top_labels = calls.token_labels(selection, stats.top_ids[row])
correct, log_probs = stats.correct[row], stats.log_probs[row]

bar = st.container(horizontal=True)
bar.metric("Tokens", len(labels), border=True, width=METRIC)
bar.metric("Loss, nats per token", f"{-log_probs.mean():.3f}", border=True, width=METRIC)
bar.metric("Top guess right", f"{correct.sum()} of {len(correct)}", border=True, width=METRIC)
uniform = np.log(selection.info.d_vocab)
bar.metric("A uniform guess", f"{uniform:.3f}", border=True, width=METRIC)


theme, whose = palette(), tokens.parts


def chip(position: int) -> Chip:
    """The chip of one token; its card says what the model expected there."""
    heading = f"position {position}, id {ids[position]}"
    stripe = ""
    if whose:
        heading += f", {NAMES[whose[position]].lower()}"
        stripe = part_colours(theme)[whose[position]]
    if position == 0:
        first = f"{heading}; nothing predicts the first token"
        return Chip(labels[0], False, [], first, stripe)
    guesses = zip(top_labels[position - 1], stats.top_probs[row, position - 1], strict=True)
    card = [(display_token(label), f"{probability:.1%}") for label, probability in guesses]
    chance = float(np.exp(log_probs[position - 1]))
    heading += f"; it had {chance:.1%}. Guesses:"
    return Chip(labels[position], bool(correct[position - 1]), card, heading, stripe)


rows = as_rows(
    {
        "Position": range(len(labels)),
        "Token": [display_token(label) for label in labels],
        **({"Speaker": [NAMES[each] for each in whose]} if whose else {}),
        "Id": ids.tolist(),
        "Log-probability (nats)": [None, *log_probs.tolist()],
        "Probability": [None, *np.exp(log_probs).tolist()],
        "Top guess": [None, *(display_token(guesses[0]) for guesses in top_labels[:-1])],
        "Right": [None, *correct.tolist()],
    }
)
subject = Subject(selection, sequence=row)
with figure_frame(
    subject,
    f"The text in {len(labels)} tokens",
    "A coloured token was the model's top guess; · is a space and ↵ a new line."
    + " The stripe under a token says who speaks it." * bool(whose),
    LOG_PROBS,
    also=(LOSS,),
    acts="Hover a token for the ten best guesses in its place.",
):
    chips = chips_html([chip(position) for position in range(len(labels))], theme)
    if whose:
        chips = legend_html(whose, theme) + chips
    st.html(chips)
    offer(Exhibit("text", lambda: record_table(rows), page=lambda name: chips))

with figure_frame(
    subject,
    "Every token",
    "Each row is a token and what the model thought before it came.",
    LOG_PROBS,
    also=(LOSS,),
    acts="Sort by a column's title.",
):
    draw_table(
        rows,
        "tokens",
        {
            "Log-probability (nats)": st.column_config.NumberColumn(format="%.3f"),
            "Probability": st.column_config.NumberColumn(format="percent"),
        },
    )
with figure_frame(
    subject,
    "From text to numbers and back",
    "What the model is given: one number for each token, its id.",
    TOKENS,
    acts="Type ids of your own to see which text they stand for.",
):
    offer_rows([{"Token": row["Token"], "Id": row["Id"]} for row in rows], "ids")
    st.code(f"[{', '.join(map(str, ids))}]", language=None, wrap_lines=True)
    st.text_input(
        "Ids of your own",
        key=widget_key(selection, "ids"),
        max_chars=MAX_IDS,
        placeholder="[264, 1009]",
    )
    if selection["ids"]:
        with part():
            typed = calls.typed_ids(selection, selection["ids"])
            pieces = (display_token(row[0]) for row in calls.token_labels(selection, typed))
            st.text(" | ".join(pieces))

guesses = zip(top_labels[-1], stats.top_probs[row, -1], strict=True)
with figure_frame(
    subject, "What comes next", "The ten most likely tokens after the end of the text.", NEXT_TOKENS
):
    draw_table(
        [{"Token": display_token(label), "Probability": float(p)} for label, p in guesses],
        "next",
        {
            "Probability": st.column_config.ProgressColumn(
                min_value=0, max_value=1, format="percent"
            )
        },
    )
