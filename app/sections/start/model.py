"""What the model is and what can be said of it, behind one line."""

import streamlit as st

from analysis.models.capabilities import allowances
from analysis.models.catalog import BUNDLED
from analysis.models.info import ModelInfo
from app.compute.engine import check_said
from app.frame.layout import METRIC
from app.links.selection import Selection
from app.shell.sidebar import pick_model
from app.text import markdown_text


def draw_model(selection: Selection) -> None:
    """The model in one line, and its card behind that."""
    info = selection.info
    heads = f"{info.n_layers} layers of {info.n_heads} heads"
    with st.expander(f"The model: {markdown_text(info.title)} · {heads}"):
        pick_model(selection)
        _draw_card(info)


def _draw_card(info: ModelInfo) -> None:
    """Its sizes, where it is from, what it allows, and how it was made."""
    facts: dict[str, str | int] = {
        "Layers": info.n_layers,
        "Heads per layer": info.n_heads,
        "d_model": info.d_model,
        "d_head": info.d_head,
        "Context, tokens": f"{info.n_ctx:,}",
        "Vocabulary, tokens": f"{info.d_vocab:,}",
        "Parameters": f"{info.n_params / 1e6:.2f} M",
        "MLPs": "yes" if info.has_mlp else "none",
        "Normalization": info.normalization or "none",
    }
    bar = st.container(horizontal=True)
    for name, value in facts.items():
        bar.metric(name, value, border=True, width=METRIC)
    if info.source:
        commit = f" at commit {info.commit[:12]}" if info.commit else ""
        where = f"{markdown_text(info.source)} on the model hub{commit}"
        st.caption(f"Weights: {where}; licence {markdown_text(info.licence)}.")
    for said in (info.shorter, check_said(info)):
        if said:
            st.caption(markdown_text(said))
    _draw_allowances(info)
    # Of a folder from elsewhere not: its card may load pictures of another host.
    if info.folder.parent == BUNDLED:
        st.markdown((info.folder / "README.md").read_text(encoding="utf-8"))


def _draw_allowances(info: ModelInfo) -> None:
    """One line for each analysis: yes, or why it is not defined for the model."""
    rows = allowances(info)
    allowed = sum(not row.reason for row in rows)
    st.markdown(f"**What this model allows: {allowed} of {len(rows)} kinds of analysis**")
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
