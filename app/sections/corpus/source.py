"""Which text is read: the one that comes with the app, or a visitor's own."""

from __future__ import annotations

import streamlit as st

from analysis.errors import AnalysisError
from analysis.limits import MAX_CORPUS_TOKENS
from app.components.progress import progress_bar
from app.compute.server import current_server
from app.compute.texts import MAX_TEXT_BYTES, Text, fetch_text, read_text_file, shipped
from app.text import display_token, markdown_text

# A text is too long for a link: it stays in the session.
_OWN, _SAID = "headscope.corpus.text", "headscope.corpus.said"
_UPLOAD = "headscope.corpus.upload"
_NAMED, _ASKED = "headscope.corpus.named", "headscope.corpus.asked"
_LONGEST_NAME = 200


def choose_text() -> Text:
    """The text, with what a visitor can do about it."""
    _fetch_asked()
    own: Text | None = st.session_state.get(_OWN)
    text = own or shipped()
    bar = st.container(horizontal=True, vertical_alignment="center")
    bar.markdown(f"**{markdown_text(_shown(text.name))}** · {text.characters:,} characters")
    with bar.popover("Read another text", width="content"):
        st.file_uploader(
            f"TXT or JSONL, at most {MAX_TEXT_BYTES // 2**20} MB",
            type=["txt", "md", "jsonl", "ndjson"],
            max_upload_size=MAX_TEXT_BYTES // 2**20,
            key=_UPLOAD,
            on_change=_take,
            help="Of a JSONL file each line is a JSON text, or an object with one under "
            f'"text". Of a long text the first {MAX_CORPUS_TOKENS:,} tokens are read. It stays in '
            "this session: links open the text that comes with the app.",
        )
        if current_server().config.downloads:
            _offer_data_set()
    if own:
        bar.button(f"Back to {shipped().name.partition(',')[0]}", key="back", on_click=_back)
    for said in st.session_state.get(_SAID, ()):
        st.text(f"⚠ {said}")
    return text


def _offer_data_set() -> None:
    """The first texts of a data set of the hub, by its name."""
    with st.form("data set", border=False):
        st.text_input(
            "Or a data set of the Hugging Face hub",
            max_chars=_LONGEST_NAME,
            key=_NAMED,
            placeholder="roneneldan/TinyStories",
            help="Its first texts are fetched, as many as a reading takes, and nothing is kept. "
            "Where it has several parts, write one behind a colon.",
        )
        st.form_submit_button("Fetch its first texts", on_click=_ask)


def _ask() -> None:
    st.session_state[_ASKED] = st.session_state[_NAMED]


def _fetch_asked() -> None:
    """Fetch what was asked for; whoever does something else meanwhile ends it."""
    name = st.session_state.pop(_ASKED, None)
    if name is None:
        return
    try:
        with progress_bar("Fetching texts") as progress:
            text = fetch_text(name, progress)
    except AnalysisError as refusal:
        st.session_state[_SAID] = (str(refusal),)
        return
    st.session_state[_OWN], st.session_state[_SAID] = text, ()


def _shown(name: str) -> str:
    """A name with what is invisible in it made visible, but for spaces between words."""
    return " ".join(map(display_token, name.split(" ")))


def _take() -> None:
    file = st.session_state.get(_UPLOAD)
    if file is None:
        return
    try:
        text, said = read_text_file(file.name, file.getvalue())
    except AnalysisError as refusal:
        st.session_state[_SAID] = (str(refusal),)
        return
    st.session_state[_OWN], st.session_state[_SAID] = text, (said,) if said else ()


def _back() -> None:
    for key in (_OWN, _SAID):
        st.session_state.pop(key, None)
