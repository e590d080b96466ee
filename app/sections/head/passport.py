"""The head's passport: one sentence of what was measured, each number a link to its figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import streamlit as st

from analysis.definitions import ABLATION, COPYING, PARTNERS
from analysis.head import Head
from app.compute import calls
from app.figures.pixels import pattern_picture
from app.frame.export import Exhibit, record_table
from app.frame.frame import figure_frame, offer
from app.frame.paper import inline_svg, paper_passport
from app.links.link import link_parameters
from app.links.parsers import Value
from app.links.session import link_from_here
from app.sections.head.on_input import HeadView
from app.shell.navigation import streamlit_page
from app.shell.share import qr_modules, view_link
from app.text import escape_html, markdown_text

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from analysis.definitions.role import Role
    from analysis.passport import Claim, Passport

# Where on the page each number stands, by its section's title; scores stand under "Scores".
ANCHORS = {
    PARTNERS: "who-it-works-with",
    COPYING: "what-it-writes-and-what-it-looks-for",
    ABLATION: "what-breaks-without-it",
}
_SIZE = 128  # pixels of the small pattern
# What no number here says, and the page that has it.
_ELSEWHERE = {
    "composition": "whether it uses what it reads",
    "ablation": "what breaks with other heads",
    "training": "when it formed",
}


@dataclass(frozen=True)
class PassportPlace:
    """Its place at the top of the page, and above it that of what is known of it meanwhile."""

    view: HeadView
    meanwhile: DeltaGenerator
    place: DeltaGenerator
    drawn: bool

    @classmethod
    def begin(cls, view: HeadView) -> PassportPlace:
        """Draw it where all of it is known, or what of it is."""
        calls.scores(view.selection)  # the page needs them next, and the sentence begins with them
        found = calls.passport_of(view.selection, view.head)
        meanwhile, place = st.empty(), st.container()
        if not found.missing:
            with place:
                _draw_passport(view, found)
            return cls(view, meanwhile, place, drawn=True)
        with meanwhile.container(border=True):
            st.subheader(_title(view), anchor=False)
            _draw_sentence(view, found)
            st.caption("The rest is being measured.")
        return cls(view, meanwhile, place, drawn=False)

    def finish(self) -> None:
        """Draw it of what the sections of the page have measured meanwhile."""
        if not self.drawn:
            self.meanwhile.empty()
            with self.place:
                _draw_passport(self.view, calls.passport_of(self.view.selection, self.view.head))


def _title(view: HeadView) -> str:
    return f"{view.head.label} in one sentence"


def _draw_passport(view: HeadView, found: Passport) -> None:
    quantities = dict.fromkeys(claim.quantity for claim in found.claims)
    with figure_frame(
        replace(view.subject, method="zero", heads=()),
        _title(view),
        "Made of what is measured on this page; each number leads to its figure.",
        *quantities,
    ) as frame:
        frame.claim = found.text
        _draw_sentence(view, found)
        st.caption(_certainty(view, found))
        _draw_elsewhere(view)
        _offer(view, found)


def _draw_sentence(view: HeadView, found: Passport) -> None:
    label = view.head.label
    row = st.container(horizontal=True)
    with row.container(width=_SIZE):
        source = pattern_picture(view.pattern, view.theme)
        st.html(
            f'<img alt="{escape_html(f"Pattern of {label}, small")}" src="{source}" '
            f'width="{_SIZE}" height="{_SIZE}" style="image-rendering:pixelated">'
        )
    with row.container(width="stretch"):
        clauses = "; ".join(_clause(view, claim) for claim in found.claims)
        st.markdown(f"**{label}**: {clauses}." if clauses else f"**{label}**")


def _clause(view: HeadView, claim: Claim) -> str:
    if claim.judged:
        heads = claim.judged.verdict.heads
        query = urlencode(link_from_here("roles", _asked(view, claim.judged.role, heads)))
        where = f"roles?{query}"
    else:
        where = f"#{ANCHORS.get(claim.quantity, 'scores')}"
    return (
        f"{markdown_text(claim.before)}[{markdown_text(claim.number)}]({where})"
        f"{markdown_text(claim.after)}"
    )


def _asked(view: HeadView, role: Role, heads: Sequence[Head]) -> dict[str, Value]:
    """The view of the page of roles that judges heads, this one in focus."""
    return {
        **view.selection.values,
        "role": role.key,
        "group": ",".join(head.label for head in heads),
        "judge": True,
        "method": "zero",
        "layer": view.head.layer,
        "head": view.head.head,
    }


def _certainty(view: HeadView, found: Passport) -> str:
    batch = view.tokens.batch
    said = (
        f"± beside a score is one standard deviation over the {batch} sequences. "
        if batch > 1
        else "One prompt has no spread: on another the scores and the loss may differ. "
    )
    if found.missing:
        names = ", ".join(
            f"[{markdown_text(quantity.name)}](#{ANCHORS.get(quantity, 'scores')})"
            for quantity in found.missing
        )
        said += f"Not measured for this model or input, for the reason given there: {names}."
    return said


def _draw_elsewhere(view: HeadView) -> None:
    """What was not measured for the sentence, each with a link to where it is."""
    values = {**view.selection.values, "layer": view.head.layer, "head": view.head.head}
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Not measured here:", width="content")
        links = [(page, what, values) for page, what in _ELSEWHERE.items()]
        if (roles := calls.known_roles(view.selection, view.head)) is None:
            links.append(("roles", "which roles it looks like, and whether it matters", values))
        else:
            links += [
                (
                    "roles",
                    f"whether it matters as “{role.name.lower()}”: test it",
                    _asked(view, role, (view.head,)),
                )
                for role in roles.open
            ]
        for page, what, asked in links:
            query = link_from_here(page, asked)
            st.page_link(streamlit_page(page), label=what, query_params=query)


def _offer(view: HeadView, found: Passport) -> None:
    rows = [
        {
            "Quantity": claim.quantity.name,
            "Value": claim.value,
            "Chance": claim.chance,
            "Spread": claim.spread,
            "Words": f"{claim.before}{claim.number}{claim.after}",
        }
        for claim in found.claims
    ]

    values = {**view.selection.values, "layer": view.head.layer, "head": view.head.head}
    # Made now: a file is asked for later, by nobody whose address is known.
    link = view_link("head", link_parameters("head", {**values, "room": ""}))
    code = qr_modules(link) if link.startswith("http") else None

    def picture(origin: str) -> bytes:
        return paper_passport(view.pattern, _title(view), found.text, origin, code)

    offer(
        Exhibit(
            "passport",
            lambda: record_table(rows),
            page=lambda name: inline_svg(picture("")),
            picture=picture,
            paper=picture,
        )
    )
