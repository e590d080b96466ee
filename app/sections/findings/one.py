"""One finding on the screen: its claim, what it rests on, and whether that still holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.errors import AnalysisError
from app.compute.findings.check import Check, check
from app.compute.findings.file import packed
from app.compute.findings.finding import (
    MAX_CLAIM,
    MAX_NAME,
    MAX_NOTE,
    Evidence,
    Finding,
    Number,
    title_of,
)
from app.frame.report import named_heads, result_text
from app.shell.kept import forget, keep, kept, move
from app.shell.navigation import streamlit_page
from app.shell.share import draw_address, view_link
from app.text import display_text, markdown_text

_MARKS = {"holds": ":green", "differs": ":red", "not computed here": ":gray"}


def draw_finding(finding: Finding, own: bool = True) -> list[tuple[DeltaGenerator, Number]]:
    """A finding with a place for what becomes of each number; `own`: with what its owner can do."""
    with st.container(border=True, key=f"finding-{finding.id}"):
        st.subheader(_plain(finding.claim), anchor=False)
        if finding.note.strip():
            st.markdown("  \n".join(_plain(line) for line in finding.note.splitlines()))
        for line in named_heads(finding):
            st.caption(markdown_text(line))
        places = [
            (place, evidence)
            for at, evidence in enumerate(finding.evidence)
            if (place := _draw_evidence(finding, at, evidence)) is not None
            and isinstance(evidence, Number)
        ]
        if own:
            _draw_tools(finding)
    return places


def fill(places: Sequence[tuple[DeltaGenerator, Number]]) -> list[Check]:
    """Check numbers one after another, each said in its place as it is known."""
    checks = []
    for place, number in places:
        found = check(number)
        said = markdown_text(display_text(result_text(found)))
        place.markdown(f"{_MARKS[found.word]}[{said}]")
        checks.append(found)
    return checks


def _draw_evidence(finding: Finding, at: int, evidence: Evidence) -> DeltaGenerator | None:
    page, link = evidence.link
    title = markdown_text(display_text(title_of(evidence)))
    with st.container(horizontal=True, vertical_alignment="center", key=f"ev-{finding.id}-{at}"):
        st.page_link(
            streamlit_page(page),
            label=title,
            query_params=link,
            width="content",
            icon=":material/arrow_forward:",
        )
        if not isinstance(evidence, Number):
            return None
        st.markdown(f"**{evidence.value:.4g}** on {evidence.date}", width="content")
        place = st.empty()
        place.markdown(":gray[being checked…]")
    st.caption(_plain(evidence.said))
    return place


def _draw_tools(finding: Finding) -> None:
    listed = kept().findings
    with st.container(horizontal=True):
        st.button(
            "Up",
            icon=":material/arrow_upward:",
            on_click=move,
            args=(finding.id, -1),
            key=f"up {finding.id}",
            disabled=finding == listed[0],
        )
        st.button(
            "Down",
            icon=":material/arrow_downward:",
            on_click=move,
            args=(finding.id, 1),
            key=f"down {finding.id}",
            disabled=finding == listed[-1],
        )
        with st.popover("Edit", icon=":material/edit:", key=f"edit {finding.id}"):
            _draw_edit(finding)
        with st.popover("Share it", icon=":material/share:", key=f"share {finding.id}"):
            _draw_share(finding)
        st.button(
            "Delete",
            icon=":material/delete:",
            on_click=forget,
            args=(finding.id,),
            key=f"delete {finding.id}",
        )


def _draw_edit(finding: Finding) -> None:
    """Its words, and what its heads are called."""
    heads = dict.fromkeys((n.model, n.head) for n in finding.numbers if n.head)
    keys = {each: f"name {finding.id} {each}" for each in heads}
    claim, note = f"claim {finding.id}", f"note {finding.id}"

    def keep_it() -> None:
        said = {key: str(st.session_state[key]).strip() for key in (claim, note, *keys.values())}
        changed = replace(
            finding, claim=said[claim][:MAX_CLAIM] or finding.claim, note=said[note][:MAX_NOTE]
        )
        for (model, head), key in keys.items():
            changed = changed.with_name(model, head, said[key][:MAX_NAME])
        try:
            keep([changed])
        except AnalysisError as refusal:
            kept().refused = str(refusal)

    with st.form(f"form {finding.id}", border=False):
        st.text_input("What you claim", finding.claim, max_chars=MAX_CLAIM, key=claim)
        st.text_area("In your own words", finding.note, max_chars=MAX_NOTE, key=note)
        for (model, head), key in keys.items():
            st.text_input(
                f"Your name for {head.label} of {display_text(model)}",
                finding.named(model, head),
                max_chars=MAX_NAME,
                key=key,
            )
        st.form_submit_button("Keep this", type="primary", on_click=keep_it)


def _draw_share(finding: Finding) -> None:
    text = packed(finding)
    if text is None:
        st.caption("It is too long for a link. Hand on the file, under Take along.")
        return
    st.caption("Whoever opens this link sees the finding, and has its numbers checked.")
    draw_address(view_link("findings", {"finding": text}))


def _plain(text: str) -> str:
    return markdown_text(display_text(text))
