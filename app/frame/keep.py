"""Keeping a number of a figure as a finding, or as one more piece of evidence of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import streamlit as st

from analysis.definitions import Quantity
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from app.compute.findings.check import read_number
from app.compute.findings.finding import (
    MAX_CLAIM,
    MAX_EVIDENCE,
    MAX_NAME,
    MAX_NOTE,
    MAX_TITLE,
    Evidence,
    Finding,
    Number,
    View,
    title_of,
)
from app.compute.findings.readings import OPEN, READINGS, Reading
from app.frame.export import Frame
from app.links.link import whole_view
from app.links.parsers import Value
from app.links.subject import Subject
from app.shell.kept import keep, kept, new_id
from app.text import display_text, markdown_text

# Pages whose figures are of other runs than the one that their link names.
_OF_OTHER_RUNS = ("mosaic", "training", "corpus")
_NEW, _ALL, _VIEW = "", "all numbers", "the view"
_JUST_KEPT = "headscope.findings.just kept"
# Characters of a claim in a list.
_LISTED = 60


def readings_of(frame: Frame) -> tuple[Reading, ...]:
    """The numbers of a figure that can be read again."""
    subject = frame.subject
    selection = subject.selection
    # Of an encoder no number is read again yet; the view itself can be kept.
    of_other_runs = selection.page in _OF_OTHER_RUNS or selection.info.bidirectional
    if of_other_runs or subject.without or subject.second or subject.steps or subject.text:
        return ()
    found = (_reading_of(quantity, subject) for quantity in frame.quantities)
    return tuple(reading for reading in found if reading is not None)


def _reading_of(quantity: Quantity, subject: Subject) -> Reading | None:
    values = subject.selection.values
    for reading in READINGS.values():
        # A figure may show it with other axes, which the same name stands for; of scores over a set
        # the view says which it is.
        score = reading.shown_by.get("score", values["score"])
        if reading.quantity.name == quantity.name and score == values["score"]:
            return None if reading.on == "input" and subject.prompts is not None else reading
    return None


def settings_of(reading: Reading, subject: Subject) -> dict[str, Value]:
    """What settles a number of a figure; None for what only its reader can choose."""
    values = subject.selection.values
    head = subject.head or (subject.heads[0] if len(subject.heads) == 1 else None)
    settled: dict[str, Value] = {
        "dest": values["dest"] if subject.dest is None else subject.dest,
        "src": values["src"] if subject.src is None else subject.src,
        "position": values["position"] if subject.dest is None else subject.dest,
        "sequence": values["sequence"] if subject.sequence is None else subject.sequence,
        "method": subject.method or values["method"],
        "bos": subject.selection.bos,
        "group": ",".join(each.label for each in subject.heads) or None,
    }
    if head:
        settled |= {"layer": head.layer, "head": head.head}
    if subject.writer:
        settled |= {"layer2": subject.writer.layer, "head2": subject.writer.head}
    return reading.settings_from(values, **settled)


def view_of(frame: Frame) -> View:
    """The view that a figure is part of, with the head that it is about."""
    selection, head = frame.subject.selection, frame.subject.head
    values = {**selection.values, "room": ""}
    if head:
        values |= {"layer": head.layer, "head": head.head}
    keys = ("model", *whole_view(selection.page, values))
    chosen = {key: values[key] for key in keys}
    return View(selection.page, chosen, frame.title[:MAX_TITLE])


def draw_keep(frame: Frame) -> None:
    """Which number, of which head, or all of them, or the view alone; under which claim."""
    readings = readings_of(frame)
    several = len(readings) > 1 and frame.subject.head is not None
    options = [*([_ALL] if several else []), *(reading.key for reading in readings), _VIEW]
    names = {reading.key: reading.title for reading in readings}
    names |= {_ALL: "All of its numbers", _VIEW: "The view, without a number"}
    what = st.selectbox(
        "What is kept",
        options,
        format_func=names.__getitem__,
        key=f"keep which {frame.title}",
    )
    evidence: tuple[Evidence, ...] = (view_of(frame),)
    if what == _ALL:
        evidence = _all_numbers(readings, frame.subject)
    elif what != _VIEW:
        evidence = _one_number(READINGS[what], frame)
    for number in evidence:
        if isinstance(number, Number):
            st.markdown(f"{markdown_text(number.title)}: **{number.value:.4g}**")
    if evidence:
        claim = title_of(evidence[0]) if len(evidence) == 1 else frame.title
        draw_keep_form(f"of {frame.title}", evidence, frame.claim or claim)


def _all_numbers(readings: Sequence[Reading], subject: Subject) -> tuple[Number, ...]:
    """Every number of a figure about one head; what is not defined or left open is no evidence."""
    found = []
    for reading in readings:
        settings = settings_of(reading, subject)
        if any(value is None for key, value in settings.items() if key not in OPEN):
            continue
        with suppress(AnalysisError):
            found.append(read_number(reading, settings))
    return tuple(found[:MAX_EVIDENCE])


def _one_number(reading: Reading, frame: Frame) -> tuple[Number, ...]:
    settings = settings_of(reading, frame.subject)
    _settle_heads(frame, settings)
    for key, name in (("dest", "Destination"), ("src", "Source"), ("position", "Position")):
        if key in settings and settings[key] is None:
            settings[key] = st.number_input(name, 0, 9999, value=0, key=f"keep {key} {frame.title}")
    try:
        number = read_number(reading, settings)
    except AnalysisError as refusal:
        st.text(f"⚠ {refusal}")
        return ()
    st.caption(markdown_text(display_text(number.said)))
    return (number,)


def _settle_heads(frame: Frame, settings: dict[str, Value]) -> None:
    """Fields for heads that the figure leaves open: the one in focus, where there is one."""
    subject = frame.subject
    options = subject.heads or all_heads(subject.selection.info)
    for layer, head, name in (("layer", "head", "Head"), ("layer2", "head2", "Earlier head")):
        fixed = subject.head if layer == "layer" else subject.writer
        if layer not in settings or fixed is not None or len(options) == 1:
            continue
        focus = (settings[layer], settings[head])
        at = next((i for i, h in enumerate(options) if (h.layer, h.head) == focus), 0)
        chosen: Head = st.selectbox(
            name,
            options,
            index=at,
            format_func=lambda each: each.label,
            key=f"keep {head} {frame.title}",
        )
        settings[layer], settings[head] = chosen.layer, chosen.head


def draw_keep_form(key: str, evidence: tuple[Evidence, ...], claim: str, note: str = "") -> None:
    """Fields for a claim, and the button that keeps it with its evidence.

    Args:
        key: What tells these fields from others on the page.
        evidence: What is kept.
        claim: What it is called unless its writer says otherwise.
        note: Text that is kept with it.
    """
    findings = {each.id: each for each in kept().findings if len(each.evidence) < MAX_EVIDENCE}
    listed = {each.id: display_text(each.claim[:_LISTED]) for each in findings.values()}
    named = next((each for each in evidence if isinstance(each, Number) and each.head), None)
    head = named.head if named else None
    # Another number has another claim, and not what was typed for the one before.
    claim_key, name_key = f"keep claim {key} {claim[:MAX_CLAIM]}", f"keep name {key} {head}"
    target = _NEW
    if findings:
        target = st.selectbox(
            "Keep with",
            [_NEW, *findings],
            format_func={_NEW: "A new finding", **listed}.__getitem__,
            key=f"keep with {key}",
        )
    if target == _NEW:
        st.text_input("What you claim", value=claim[:MAX_CLAIM], max_chars=MAX_CLAIM, key=claim_key)
    if head:
        st.text_input(
            f"Your name for {head.label}",
            max_chars=MAX_NAME,
            placeholder="if you like",
            key=name_key,
        )

    def keep_it() -> None:
        # Read now: what has just been typed arrives together with the click.
        said = str(st.session_state.get(claim_key) or "").strip() or claim
        made = findings.get(target) or Finding(new_id(), said[:MAX_CLAIM], note[:MAX_NOTE])
        made = replace(made, evidence=(*made.evidence, *evidence)[:MAX_EVIDENCE])
        name = str(st.session_state.get(name_key) or "").strip()[:MAX_NAME]
        if name and named and head:
            made = made.with_name(named.model, head, name)
        try:
            keep([made])
        except AnalysisError as refusal:
            kept().refused = str(refusal)
            return
        st.session_state[_JUST_KEPT] = True

    st.button("Keep as a finding", type="primary", key=f"keep it {key}", on_click=keep_it)
    if kept().refused:
        st.text(f"⚠ {kept().refused}")
        kept().refused = ""
    if st.session_state.pop(_JUST_KEPT, False):
        st.toast("Kept. Your findings are on the page Findings.")
        # The browser is told by the page, of which this is a part that runs by itself.
        st.rerun()
