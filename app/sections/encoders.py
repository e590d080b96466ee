"""What pages show of an encoder's heads: their scores on a text, which are its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import (
    CHANCE_BOTH_WAYS,
    ENCODER_SCORES,
    MASKED_ABLATION,
    MASKED_LOSS,
    PATTERN,
)
from analysis.head import Head
from app.components.chips import Chip, chips_html
from app.compute import calls
from app.figures import heads as head_figures
from app.figures.base import head_map
from app.frame.clicks import draw_choice, draw_head_map, draw_rows_to_open, open_head
from app.frame.export import Exhibit, as_rows, record_table
from app.frame.frame import (
    Metric,
    draw_metrics,
    draw_table,
    figure_frame,
    offer,
    part,
)
from app.frame.layout import beside
from app.frame.paper import paper_pattern
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.cell import cell_of
from app.pickers.heads import completed, ranked
from app.sections.shared.cancel import stoppable
from app.shell.theme import palette
from app.text import display_token, markdown_text

if TYPE_CHECKING:
    from analysis.effects.replacements import Method
    from analysis.heads.encoder import EncoderScores
    from analysis.tokens import Tokens

_NUMBER = st.column_config.NumberColumn(format="%.3f")


def encoder_marks(scores: EncoderScores) -> list[str]:
    """The scores that heads carry as a badge: shares of attention, with a chance level below 1."""
    return [name for name in scores.known if name != "entropy"]


def note_texts(tokens: Tokens) -> None:
    """Say where the second text begins, where there are two."""
    if len(set(tokens.segments)) > 1:
        st.caption(
            f"Two texts: tokens 0 to {tokens.segments.index(1) - 1} are segment A, tokens "
            f"{tokens.segments.index(1)} to {tokens.length - 1} segment B."
        )


def draw_every_head(selection: Selection) -> None:
    """Every head with every score of an encoder."""
    scores = calls.encoder_scores(selection)
    known = scores.known
    rank = max(known, key=lambda name: name == selection["rank"])
    heads = ranked(known[rank])
    with figure_frame(
        Subject(selection),
        "Every head, every score",
        "One row for each head, one column for each score of an encoder, and in its title its "
        f"chance level. Ranked by {ENCODER_SCORES[rank].name}.",
        *(ENCODER_SCORES[name] for name in known),
        acts="Sort by a column's title; tick a row to open that head.",
    ):
        rows = [
            {
                "Head": head.label,
                **{
                    f"{name.capitalize()} · chance {scores.chance[name]:.2f}": float(
                        values[head.layer, head.head]
                    )
                    for name, values in known.items()
                },
            }
            for head in heads
        ]
        draw_rows_to_open(rows, heads, "heads", selection)
        missing = [ENCODER_SCORES[name].name for name in ENCODER_SCORES if name not in known]
        absent = f" No token comes twice, so there is no {missing[0]}." if missing else ""
        st.caption(f"{len(heads)} heads. {CHANCE_BOTH_WAYS}{absent}")


def draw_head(selection: Selection, tokens: Tokens) -> None:
    """One head: its pattern on the text, and its scores among those of the others."""
    head = Head(selection["layer"], selection["head"])
    note_texts(tokens)
    picture, numbers = beside("dossier", 470, 300)
    with picture, part():
        _draw_pattern(selection, head, tokens.labels[0])
    with numbers:
        _draw_scores(selection, head)
        open_head(selection, head, "finder")
        open_head(selection, head, "attention")
    st.caption(
        "What a head adds to the logits and what it writes are defined here for models that "
        "predict each token from those before it. What breaks without it is on Ablation, where "
        "the model has a head for masked tokens."
    )


def _draw_pattern(selection: Selection, head: Head, labels: tuple[str, ...]) -> None:
    pattern = calls.patterns(selection, 0, (head.layer,)).values[0, 0, head.head]
    with figure_frame(
        Subject(selection, head=head, sequence=0),
        f"Where {head.label} looks",
        "Each row is a destination and shows where it looks, before and after it.",
        PATTERN,
        acts="Click a cell for its number.",
    ):
        dest, src = cell_of(selection, pattern)
        title = f"Pattern of {head.label}"
        draw_choice(
            head_figures.pattern_cells(pattern, labels, palette(), (dest, src), bidirectional=True),
            "pattern",
            ("dest", "src"),
            lambda origin: paper_pattern(pattern, labels, title, origin, bidirectional=True),
        )
        named = [f"{at} {display_token(labels[at])}" for at in (dest, src)]
        st.caption(
            markdown_text(
                f"Outlined: {pattern[dest, src]:.3f} of the attention of {named[0]} goes to "
                f"{named[1]}; spread evenly it would be {1 / len(labels):.3f}."
            )
        )


def _draw_scores(selection: Selection, head: Head) -> None:
    scores = calls.encoder_scores(selection)
    at = (head.layer, head.head)
    with figure_frame(
        Subject(selection, head=head),
        "Scores",
        "Rank 1 is the highest of all heads.",
        *(ENCODER_SCORES[name] for name in scores.known),
    ):
        rows = [
            {
                "Score": name.capitalize(),
                "Value": float(values[at]),
                "Chance": scores.chance[name],
                "Rank": f"{1 + int(np.sum(values > values[at]))} of {values.size}",
            }
            for name, values in scores.known.items()
        ]
        draw_table(rows, "scores", {"Value": _NUMBER, "Chance": _NUMBER})
        st.caption(CHANCE_BOTH_WAYS)


def draw_masked_tokens(selection: Selection) -> None:
    """The text as the encoder sees it, and what it says of each token that is masked."""
    found, tokens = calls.masked_loss(selection), calls.tokens_of(selection)
    labels, ids, subject = tokens.labels[0], tokens.ids[0], Subject(selection, sequence=0)
    guesses = calls.token_labels(selection, found.top_ids)
    entry = {position: i for i, position in enumerate(found.positions)}
    right = [int(found.top_ids[i, 0]) == int(ids[p]) for p, i in entry.items()]
    known = ~np.isnan(found.log_probs)
    note_texts(tokens)
    draw_metrics(
        [
            Metric("Tokens", tokens.length, f"{tokens.length}"),
            Metric("Loss, nats per token", found.loss, f"{found.loss:.3f}"),
            Metric(
                "Top guess right",
                sum(right),
                f"{sum(right)} of {int(known.sum())}",
            ),
            Metric(
                "A uniform guess",
                float(np.log(selection.info.d_vocab)),
                f"{np.log(selection.info.d_vocab):.3f}",
            ),
        ],
        "numbers",
    )

    def chip(position: int) -> Chip:
        heading = f"position {position}, id {ids[position]}"
        if (i := entry.get(position)) is None:
            return Chip(labels[position], False, [], f"{heading}; it frames the text")
        card = [
            (display_token(label), f"{probability:.1%}")
            for label, probability in zip(guesses[i], found.top_probs[i], strict=True)
        ]
        had = f"; masked, it had {np.exp(found.log_probs[i]):.1%}" if known[i] else ""
        return Chip(labels[position], right[i] and known[i], card, f"{heading}{had}. Guesses:")

    with figure_frame(
        subject,
        f"The text in {tokens.length} tokens",
        "A coloured token was the top guess when it alone was masked. At a [MASK] that is typed "
        "there are guesses and no loss.",
        MASKED_LOSS,
        acts="Hover a token for the ten best guesses in its place.",
    ):
        chips = chips_html([chip(position) for position in range(tokens.length)], palette())
        st.html(chips)
        rows = as_rows(
            {
                "Position": found.positions,
                "Token": [display_token(labels[position]) for position in found.positions],
                "Id": [int(ids[position]) for position in found.positions],
                "Segment": ["AB"[tokens.segments[position]] for position in found.positions],
                "Log-probability (nats)": [
                    float(value) if ok else None
                    for value, ok in zip(found.log_probs, known, strict=True)
                ],
                "Top guess": [display_token(row[0]) for row in guesses],
                "Its probability": found.top_probs[:, 0].tolist(),
            }
        )
        offer(Exhibit("text", lambda: record_table(rows), page=lambda name: chips))
        draw_table(
            rows,
            "tokens",
            {
                "Log-probability (nats)": _NUMBER,
                "Its probability": st.column_config.NumberColumn(format="percent"),
            },
        )


def draw_masked_ablation(selection: Selection) -> None:
    """How much the loss of masked tokens rises without each head, zeroed or at its mean."""
    st.segmented_control(
        "What a head's output is replaced by",
        ["zero", "mean"],
        format_func={"zero": "Zero", "mean": "Its mean"}.__getitem__,
        required=True,
        key=widget_key(
            selection, "method", shown="mean" if selection["method"] == "mean" else "zero"
        ),
    )
    method: Method = "mean" if selection["method"] == "mean" else "zero"
    with stoppable("Loss without every head") as progress:
        found = calls.masked_ablation(selection, method, progress)
    note_texts(calls.tokens_of(selection))
    focus = completed(selection, "layer", "head", found.values)
    with figure_frame(
        Subject(selection, method=method),
        "Loss increase without each head",
        "Nats per token over all tokens but those that frame the text, each masked by itself; the "
        f"loss with all heads is {found.clean_loss:.3f}. Blue: the model needs the head.",
        MASKED_ABLATION,
        also=(MASKED_LOSS,),
        acts="Click a cell to put a head in focus.",
    ):
        if method == "mean":
            st.caption(
                "A head's mean is over ten stretches of a reference text in the frame of this text."
            )
        draw_head_map(
            head_map(found.values, palette(), unit="nats", diverging=True, focus=focus), key="map"
        )
        open_head(selection, focus)
    with figure_frame(
        Subject(selection, method=method),
        "Most needed heads",
        "Largest loss increase first, in nats.",
        MASKED_ABLATION,
        acts="Tick a row to open that head.",
    ):
        heads = ranked(found.values)
        rows = [
            {"Head": head.label, "Loss increase": float(found.values[head.layer, head.head])}
            for head in heads
        ]
        draw_rows_to_open(rows, heads, "ranking", selection)
