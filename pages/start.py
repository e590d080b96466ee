"""Start: what this is, finished views to open, and the model's card."""

import streamlit as st

from analysis.models.catalog import BUNDLED
from app.compute.engine import check_said
from app.compute.server import current_server
from app.frame.layout import METRIC
from app.links.link import whole_link
from app.shell.model_card import draw_allowances
from app.shell.navigation import streamlit_page
from app.shell.page import open_page
from app.shell.presets import PRESETS
from app.text import markdown_text

selection = open_page("start")
info = selection.info
st.markdown(
    "**See what every attention head of a language model does.** Type a prompt or take random "
    "repeated tokens, and look at where heads attend, what they write, and what breaks without "
    "them; every view has a link that brings it back."
)

st.subheader("Open a finished view", anchor=False)
for row in (PRESETS[:2], PRESETS[2:]):
    for column, preset in zip(st.columns(2), row, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"#### {preset.title}")
            st.write(preset.notice)
            st.page_link(
                streamlit_page(preset.page),
                label=f"Open in {preset.page.capitalize()}",
                icon=":material/arrow_forward:",
                query_params=whole_link(preset.page, preset.values),
            )

st.subheader(f"The model: {markdown_text(info.title)}", anchor=False)
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
draw_allowances(info)
# Of a folder from elsewhere not: its card may load pictures of another host.
if info.folder.parent == BUNDLED:
    with st.expander("How the model was made"):
        st.markdown((info.folder / "README.md").read_text(encoding="utf-8"))

# Last, so that the page is on screen before torch and TransformerLens are imported.
current_server().warm_up(info.name)
