"""Findings to take along: as Markdown, as a page of their own, and as a notebook.

All three hold text that may be a stranger's; it is text in each of them, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from analysis.errors import AnalysisError
from app.compute.findings.check import ABSOLUTE, RELATIVE, Check
from app.compute.findings.finding import Evidence, Finding, Number, title_of
from app.frame.export import bare_document
from app.frame.snippets import snippet
from app.text import display_text, escape_html, markdown_file_text
from app.theme import LIGHT

# Gives the whole address of a page with the parameters of a view.
Address = Callable[[str, dict[str, str]], str]
Checks = Sequence[Sequence[Check]]
_TITLE = "Findings"


def result_text(check: Check | None) -> str:
    """What became of a number, as plain text."""
    if check is None:
        return ""
    if check.word == "differs":
        return f"differs: now {check.now:.4g}"
    return f"{check.word}: {check.why}" if check.why else check.word


def named_heads(finding: Finding) -> Iterator[str]:
    """What heads are called in a finding, a line of plain text each."""
    for each in finding.names:
        yield display_text(f"{each.head.label} of {each.model} is called “{each.name}”.")


def to_markdown(findings: Sequence[Finding], checks: Checks, address: Address) -> bytes:
    """Findings as a file of Markdown."""
    lines = [f"# {_TITLE}"]
    for finding, checked in zip(findings, checks, strict=True):
        results = iter(checked)
        lines += ["", f"## {_marked(finding.claim)}", ""]
        lines += [f"{_marked(line)}  " for line in finding.note.splitlines() if line.strip()]
        lines += [f"- {_marked(line)}" for line in named_heads(finding)]
        for evidence in finding.evidence:
            link = f"[{_marked(title_of(evidence))}]({_bracketed(address(*evidence.link))})"
            check = next(results) if isinstance(evidence, Number) else None
            facts = ", ".join(map(_marked, _facts(evidence, check)))
            lines.append(f"- {link}{': ' if facts else ''}{facts}")
    return ("\n".join(lines) + "\n").encode()


def to_page(findings: Sequence[Finding], checks: Checks, address: Address) -> bytes:
    """Findings as a page of their own, which loads nothing and in which no script runs."""
    parts = []
    for finding, checked in zip(findings, checks, strict=True):
        results = iter(checked)
        parts.append(f"<h2>{_escaped(finding.claim)}</h2>")
        parts += [f"<p>{_escaped(line)}</p>" for line in finding.note.splitlines() if line.strip()]
        parts += [f"<p>{_escaped(line)}</p>" for line in named_heads(finding)]
        rows = []
        for evidence in finding.evidence:
            check = next(results) if isinstance(evidence, Number) else None
            href = escape_html(address(*evidence.link))
            name = f'<a href="{href}">{_escaped(title_of(evidence))}</a>'
            rows.append(f"<li>{'<br>'.join([name, *map(_escaped, _facts(evidence, check))])}</li>")
        parts.append(f"<ul>{''.join(rows)}</ul>")
    style = (
        f"html{{background:{LIGHT.background};color:{LIGHT.text}}}"
        "body{max-width:50rem;margin:1.5rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;"
        "overflow-wrap:anywhere}li{margin:.5rem 0}"
    )
    body = f"<h1>{_TITLE}</h1>{''.join(parts)}"
    return bare_document(_TITLE, body, style, "default-src 'none'; style-src 'unsafe-inline'")


def to_notebook(findings: Sequence[Finding]) -> bytes:
    """Findings as a notebook in which each number is worked out again and compared.

    Its code is made here of the quantity and its settings; nothing of a finding's text is in it.
    """
    cells = [
        _text_cell(
            f"# {_TITLE}",
            "Each cell gives one number again with TransformerLens 4.3, beside its kept value. It "
            f"holds where they differ by at most {RELATIVE:g} of it, or by {ABSOLUTE:g}.",
        )
    ]
    for finding in findings:
        note = [f"{_marked(line)}  " for line in finding.note.splitlines() if line.strip()]
        names = [f"- {_marked(line)}" for line in named_heads(finding)]
        cells.append(_text_cell(f"## {_marked(finding.claim)}", *note, *names))
        for number in finding.numbers:
            said = f"**{_marked(number.title)}** · {_marked(number.said)}"
            try:
                code = number_code(number)
            except AnalysisError as refusal:
                cells.append(_text_cell(said, "", f"Not computed here: {_marked(str(refusal))}"))
                continue
            if code is None:
                cells.append(_text_cell(said, "", "There is no code for it on this model."))
                continue
            cells += [_text_cell(said), _code_cell(code)]
    notebook = {
        "cells": [{"id": f"cell-{place}", **cell} for place, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, ensure_ascii=False, allow_nan=False, indent=1).encode()


def number_code(number: Number) -> str | None:
    """A program that gives a number again and compares it; None where there is none.

    Raises:
        AnalysisError: The model is not here, or does not have what the number is about.
    """
    selection = number.selection()
    code = snippet((number.quantity,), number.reading.subject(selection))
    if code is None:
        return None
    return "\n".join(
        [
            code.removesuffix("print(result)\n"),
            f"now = float({number.reading.take(selection)})",
            f"kept = {number.value!r}",
            f"allowed = max({ABSOLUTE!r}, {RELATIVE!r} * max(abs(now), abs(kept)))",
            "holds = abs(now - kept) <= allowed",
            'print(now, "holds" if holds else f"differs from {kept}")',
            "",
        ]
    )


def _facts(evidence: Evidence, check: Check | None) -> Iterator[str]:
    """What is said of a piece of evidence beside its name, as plain text."""
    if not isinstance(evidence, Number):
        return
    yield f"{evidence.value:.4g} on {evidence.date}"
    if check:
        yield result_text(check)
    yield evidence.said


def _marked(text: str) -> str:
    return markdown_file_text(display_text(text))


def _bracketed(address: str) -> str:
    """An address within a link of Markdown: what would end it is written by its number."""
    return address.replace("(", "%28").replace(")", "%29")


def _escaped(text: str) -> str:
    return escape_html(display_text(text))


def _text_cell(*lines: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": "\n".join(lines)}


def _code_cell(code: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": code,
    }
