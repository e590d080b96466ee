"""The findings of a visitor: in their session, and from one session to the next in their browser.

The server has them as long as the session lasts, and no longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import streamlit as st

from analysis.errors import AnalysisError
from analysis.head import Head
from app.compute.findings.file import MAX_BYTES, UnreadableFindings, from_text, to_text
from app.compute.findings.finding import MAX_FINDINGS, Finding
from app.shell.scripts import script_component

_STATE, _KEEPER = "headscope.findings", "headscope.findings.keeper"
# Pages that show what a visitor calls a head, as far as their browser keeps any names.
_SHOW_NAMES = ("head", "finder")


@dataclass(slots=True)
class KeptFindings:
    """What one visitor's session knows of their findings."""

    findings: tuple[Finding, ...] = ()
    loaded: bool = False  # what the browser keeps has been read
    touched: bool = False  # something was kept before that
    blocked: bool = False  # the browser keeps nothing
    refused: str = ""  # why what it kept, or a file, is not here


def kept() -> KeptFindings:
    """What this visitor's session knows of their findings."""
    state: KeptFindings = st.session_state.setdefault(_STATE, KeptFindings())
    return state


def new_id() -> str:
    """What tells a new finding from all others."""
    return uuid4().hex[:12]


def keep(findings: Sequence[Finding]) -> None:
    """Add findings at the end; one that is there already is replaced in its place.

    Raises:
        AnalysisError: There would be too many, or too much text.
    """
    state = kept()
    by_id = {each.id: each for each in state.findings} | {each.id: each for each in findings}
    _put(tuple(by_id.values()))
    state.touched = True


def keep_others(findings: Sequence[Finding]) -> None:
    """Add findings that somebody else has made, or that are of another time.

    What has been changed since under the same id stays, and the other comes beside it.

    Raises:
        AnalysisError: There would be too many, or too much text.
    """
    own = {each.id: each for each in kept().findings}
    others = [each for each in findings if own.get(each.id) != each]
    keep([replace(each, id=new_id()) if each.id in own else each for each in others])


def forget(finding_id: str) -> None:
    """Take a finding away."""
    _put(tuple(each for each in kept().findings if each.id != finding_id))


def move(finding_id: str, by: int) -> None:
    """Move a finding towards the beginning (-1) or the end (1)."""
    listed = list(kept().findings)
    at = next((i for i, each in enumerate(listed) if each.id == finding_id), None)
    if at is None or not 0 <= at + by < len(listed):
        return
    listed[at], listed[at + by] = listed[at + by], listed[at]
    _put(tuple(listed))


def own_names(model: str) -> dict[Head, str]:
    """What a visitor calls heads of a model, in any of their findings; of two names the last."""
    return {
        named.head: named.name
        for finding in kept().findings
        for named in finding.names
        if named.model == model
    }


def draw_keeper(page: str) -> None:
    """Has the browser keep what there is; on pages that show none, once something was kept.

    On pages that show names of heads it only says what it keeps if that is anything: to be told
    runs a page once more.
    """
    state = kept()
    always = page == "findings" or state.touched
    if not always and page not in _SHOW_NAMES:
        return
    data = {
        "loaded": state.loaded,
        "quiet": not always,
        "text": to_text(state.findings) if state.findings else "",
    }
    script_component("keep_findings")(key=_KEEPER, data=data, on_found_change=_take_found)


def _take_found() -> None:
    """What the browser has kept, and what was kept in this session meanwhile."""
    state = kept()
    # What a browser sends may be anything.
    found = st.session_state[_KEEPER].get("found")
    text = found.get("text") if isinstance(found, dict) else None
    if not isinstance(text, str):
        return
    state.loaded, state.blocked = True, bool(found.get("blocked"))
    if not text:
        return
    try:
        there = from_text(text)
        by_id = {each.id: each for each in there} | {each.id: each for each in state.findings}
        _put(tuple(by_id.values()))
    except UnreadableFindings as refusal:
        state.refused = f"What this browser kept cannot be read. {refusal}"
    except AnalysisError as refusal:
        state.refused = str(refusal)


def _put(findings: tuple[Finding, ...]) -> None:
    if len(findings) > MAX_FINDINGS:
        raise AnalysisError(
            f"A collection holds at most {MAX_FINDINGS} findings. Save it as a file on the page "
            "Findings, and delete some."
        )
    if len(to_text(findings, indent=1).encode()) > MAX_BYTES:
        raise AnalysisError(
            f"A collection holds at most {MAX_BYTES // 1000} kB of text. Save it as a file on the "
            "page Findings, and delete some."
        )
    kept().findings = findings
