"""The list of a dossier's sections, which stays in sight."""

import streamlit as st

from analysis.head import Head
from app.shell.kept import own_names
from app.text import display_text

# By the titles of their figures, whose anchors Streamlit makes of them, in the order of the page.
_SECTIONS = (
    ("In one sentence", "{head}-in-one-sentence"),
    ("Where it looks", "where-{head}-looks"),
    ("Scores", "scores"),
    ("Why there", "why-does-it-attend-there"),
    ("What it adds", "what-it-adds-to-the-logits"),
    ("What breaks", "what-breaks-without-it"),
    ("What it writes", "what-it-writes-and-what-it-looks-for"),
    ("Partners", "who-it-works-with"),
)


def draw_contents(head: Head) -> None:
    """A link to each section; the style sheet keeps it below the menu."""
    named = f"l{head.layer}-h{head.head}"
    with st.container(key="contents"):
        st.markdown(
            "\n".join(f"- [{label}](#{anchor.format(head=named)})" for label, anchor in _SECTIONS)
        )


def draw_own_name(model: str, head: Head) -> None:
    """What the visitor calls the head in their findings, if anything."""
    if name := own_names(model).get(head):
        # st.text: a name may be a stranger's, from a file or a link.
        st.text(f"You call {head.label} “{display_text(name)}”.")
