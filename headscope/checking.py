"""The numbers of a file of findings, read again without a screen."""

import sys

from tqdm import tqdm

from analysis.models.home import at_home
from app.compute.findings.check import Check, check
from app.compute.findings.file import MAX_BYTES, UnreadableFindings, from_text
from app.compute.findings.finding import Finding
from app.compute.server import Server
from app.config import ConfigError, settings
from app.text import display_text
from headscope.printing import print_json

HOLDS, DIFFERS, UNKNOWN = 0, 1, 2


def check_file(name: str, as_json: bool) -> int:
    """Say of every number of a file whether it holds.

    Returns:
        0 where every number holds, 1 where one differs, 2 where none differs but some could not be
        read here, or where the file is none.
    """
    try:
        with at_home(name).open("rb") as opened:
            findings = from_text(opened.read(MAX_BYTES + 1))
        server = Server(settings())
    except UnreadableFindings as refusal:
        return _refused(f"{name} cannot be read. {refusal}")
    except OSError as error:
        return _refused(f"{name} cannot be read: {error.strerror}.")
    except ConfigError as error:
        return _refused(str(error))
    count = sum(len(finding.numbers) for finding in findings)
    checks: list[list[Check]] = []
    with server.used(), tqdm(total=count, desc="Checking", file=sys.stderr, disable=None) as bar:
        for finding in findings:
            checks.append([])
            for number in finding.numbers:
                checks[-1].append(check(number))
                bar.update()
    if as_json:
        print_json([_plain(*each) for each in zip(findings, checks, strict=True)])
    else:
        for finding, checked in zip(findings, checks, strict=True):
            _print(finding, checked)
    words = {found.word for checked in checks for found in checked}
    if "differs" in words:
        return DIFFERS
    return UNKNOWN if "not computed here" in words else HOLDS


def _print(finding: Finding, checks: list[Check]) -> None:
    print(display_text(finding.claim))
    for found in checks:
        number = found.number
        now = "" if found.now is None else f", now {found.now:.6g}"
        said = f"{number.title} ({number.said}): {number.value:.6g} on {number.date}{now}"
        print(f"  {found.word:<18}{display_text(said)}")
        if found.why:
            print(f"{'':<20}{display_text(found.why)}")


def _plain(finding: Finding, checks: list[Check]) -> dict[str, object]:
    return {
        "claim": finding.claim,
        "numbers": [
            {
                "quantity": found.number.reading.key,
                "about": found.number.title,
                "settings": dict(found.number.settings),
                "kept": found.number.value,
                "date": found.number.date,
                "now": found.now,
                "result": found.word,
                "why": found.why or None,
            }
            for found in checks
        ],
    }


def _refused(sentence: str) -> int:
    # May quote what a file holds, which a terminal would obey.
    print(f"headscope: {display_text(sentence)}", file=sys.stderr)
    return UNKNOWN
