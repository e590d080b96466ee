"""One token through a head's circuits: what it writes, looks for, and is looked for by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from analysis.head import Head
from app.compute import calls
from app.frame.export import as_rows
from app.frame.frame import draw_table, part
from app.links.selection import Selection
from app.pickers.token import LookedUp
from app.text import display_token, markdown_text

if TYPE_CHECKING:
    from analysis.circuits.ranking import TokenRanking


def draw_token_circuits(selection: Selection, head: Head, looked_up: LookedUp) -> None:
    """What attending to one token writes, and what it looks for and is looked for by.

    Raises:
        AnalysisError: What is typed is no token.
    """
    if looked_up.refusal:
        raise looked_up.refusal
    token = looked_up.quoted
    written = calls.ov_top_tokens(selection, head, looked_up.id)
    st.caption(
        markdown_text(
            f"Attending to {token} raises {token} itself to rank {written.rank:,} of "
            f"{selection.info.d_vocab:,}; rank 1 is a copy."
        )
    )
    tables = [
        (f"OV: attending to {token} raises", "Logits", written.raised, 1),
        (f"OV: attending to {token} lowers", "Logits", written.lowered, -1),
    ]
    _draw_rankings(tables)
    assumed = {"OV": written.assumes}
    with part():
        wanted = calls.qk_preferences(selection, head, looked_up.id)
        tables = [
            (f"QK: the query {token} looks for", "Score", wanted.keys, 1),
            (f"QK: the key {token} is looked for by", "Score", wanted.queries, 1),
        ]
        _draw_rankings(tables)
        assumed = {"QK": wanted.assumes, **assumed}
    # Without norms both rest on the same.
    if len(set(assumed.values())) == 1:
        st.caption(written.assumes)
    else:
        for circuit, text in assumed.items():
            st.caption(f"{circuit}: {text}")


def _draw_rankings(tables: list[tuple[str, str, TokenRanking, int]]) -> None:
    for column, (title, unit, ranking, sign) in zip(st.columns(2), tables, strict=True):
        column.markdown(f"**{markdown_text(title)}**")
        rows = as_rows(
            {
                "Token": [display_token(label) for label in ranking.labels],
                unit: (sign * ranking.values).tolist(),
            }
        )
        with column:
            draw_table(rows, title, {unit: st.column_config.NumberColumn(format="%+.2f")})
