"""A visitor's findings: what somebody has shared, what was kept, and what is taken along."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.errors import AnalysisError
from app.compute.findings.check import Check
from app.compute.findings.file import UnreadableFindings, from_text, to_text, unpacked
from app.compute.findings.finding import Finding
from app.frame.report import to_markdown, to_notebook, to_page
from app.links.selection import Selection
from app.links.session import choose
from app.sections.findings.one import draw_finding, fill
from app.shell.kept import keep_others, kept
from app.shell.navigation import streamlit_page
from app.shell.page import go_to_view
from app.shell.present import present_views
from app.shell.share import view_link
from app.shell.uploads import forget_upload

_UPLOADS = "headscope.findings.uploads"


def draw_findings(selection: Selection) -> None:
    """All of the page: the finding of its link first, then the visitor's own."""
    state = kept()
    if state.refused:
        st.container(border=True).text(f"⚠ {state.refused}")
        state.refused = ""
    if selection["finding"]:
        _draw_shared(str(selection["finding"]))
        st.subheader("Your own", anchor=False)
    tools = st.container(horizontal=True)
    if state.blocked:
        st.caption("This browser keeps nothing for this page: save your findings as a file.")
    if not state.findings:
        _draw_empty()
        _draw_open(tools)
        return
    places = [draw_finding(finding) for finding in state.findings]
    _draw_open(tools)
    present = tools.empty()
    take = tools.empty()
    views = [each.link for finding in state.findings for each in finding.evidence]
    present.button(
        "Present them",
        icon=":material/co_present:",
        on_click=present_views,
        args=(views, go_to_view),
        disabled=not views,
    )
    checks = [fill(each) for each in places]
    along = take.popover(
        "Take along", icon=":material/download:", key="take along", on_change="rerun"
    )
    if along.open:
        with along:
            _draw_files(state.findings, checks)


def _draw_shared(text: str) -> None:
    """The finding of a link, which is a stranger's until it is kept."""
    st.subheader("Shared with you", anchor=False)
    try:
        finding = unpacked(text)
    except UnreadableFindings as refusal:
        st.text(f"⚠ The finding of this link cannot be read. {refusal}")
        st.button("Leave it", on_click=choose, kwargs={"finding": ""})
        return
    places = draw_finding(finding, own=False)

    def keep_it() -> None:
        try:
            keep_others([finding])
        except AnalysisError as refusal:
            kept().refused = str(refusal)
            return
        choose(finding="")

    with st.container(horizontal=True):
        st.button("Keep it with yours", on_click=keep_it, type="primary")
        st.button("Leave it", on_click=choose, kwargs={"finding": ""})
    fill(places)


def _draw_empty() -> None:
    st.markdown(
        "Nothing is kept yet. **Keep**, above every figure, makes a finding of a number: what you "
        "claim, the number with its settings, and the link to its figure. Here the numbers are "
        "read again, and each is marked: it holds, it differs, or it cannot be computed here. "
        "Findings stay in this browser; nobody else sees them unless you hand them on."
    )
    st.page_link(streamlit_page("head"), label="Look at a head", icon=":material/arrow_forward:")


def _draw_open(tools: st.delta_generator.DeltaGenerator) -> None:
    uploads = int(st.session_state.setdefault(_UPLOADS, 0))
    key = f"{_UPLOADS}.{uploads}"

    def take() -> None:
        if (file := st.session_state.get(key)) is None:
            return
        st.session_state[_UPLOADS] = uploads + 1  # the next uploader is empty
        data = file.getvalue()
        forget_upload(file)
        try:
            keep_others(from_text(data))
        except UnreadableFindings as refusal:
            kept().refused = f"The file cannot be opened. {refusal}"
        except AnalysisError as refusal:
            kept().refused = str(refusal)

    with tools.popover("Open a file", icon=":material/folder_open:"):
        st.caption("Findings that were saved here are added to yours. Nothing in them is run.")
        st.file_uploader("A file of findings", type="json", max_upload_size=1, key=key,
                         on_change=take)  # fmt: skip


def _draw_files(findings: Sequence[Finding], checks: Sequence[Sequence[Check]]) -> None:
    """What can be taken along, made once it is asked for: code needs the models."""
    st.caption("The file can be opened here again; the notebook works out every number anew.")
    with st.container(horizontal=True):
        for name, ending, mime, data in (
            ("File", "json", "application/json", to_text(findings, indent=1).encode()),
            ("Markdown", "md", "text/markdown", to_markdown(findings, checks, view_link)),
            ("HTML", "html", "text/html", to_page(findings, checks, view_link)),
            ("Notebook", "ipynb", "application/x-ipynb+json", to_notebook(findings)),
        ):
            st.download_button(
                name,
                data,
                file_name=f"headscope-findings.{ending}",
                mime=mime,
                key=f"take {name}",
                on_click="ignore",
            )
