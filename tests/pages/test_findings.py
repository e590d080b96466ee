"""Findings: kept from figures, checked on their page, and what a stranger's may not do."""

import json
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from app.compute.findings.check import read_number
from app.compute.findings.file import packed, to_text
from app.compute.findings.finding import Finding, Number, View
from app.compute.findings.readings import OPEN, READINGS, Reading
from app.frame.export import Frame
from app.frame.keep import readings_of, settings_of, view_of
from app.links.parsers import Value
from app.links.subject import Subject
from app.shell.kept import KeptFindings
from tests.hostile import HOSTILE
from tests.pages.frames import Frames, frames_of
from tests.pages.test_hostile import by_sink, unescaped
from tests.pages.test_pages import Open, address, expect_well, open_at, said, text_of
from tests.snippets import exported

__all__ = ["frames_of", "open_at"]

_STATE = "headscope.findings"
_SMALL = {"input": "repeated", "length": "9", "batch": "2", "layer": "1", "head": "4"}
_ON_SET = {"rows": "4", "layer": "1", "head": "3"}
_SETTINGS = {
    **{"model": "attn-only-2l", "input": "repeated", "length": 9, "batch": 2, "seed": 0},
    **{"layer": 1, "head": 4, "method": "zero", "swap": 0},
}
# Pages with figures that are about one head, or of whose heads one is chosen.
VIEWS = (
    ("head", _SMALL | {"dest": "12", "src": "4", "sequence": "1"}),
    ("tokens", {}),
    ("attention", _SMALL | {"dest": "12", "src": "4"}),
    ("finder", _SMALL),
    ("induction", _SMALL),
    ("attribution", _SMALL | {"position": "5", "sequence": "1"}),
    ("ablation", _SMALL | {"method": "resample", "swap": "3"}),
    ("circuits", {"layer": "1", "head": "4"}),
    ("composition", _SMALL | {"layer2": "0", "head2": "0", "kind": "V", "pairs": "40"}),
    ("roles", {"rows": "4", "role": "duplicate-on-text", "layer": "1", "head": "3", "judge": "1"}),
    ("compare", _SMALL | {"by": "head", "layer2": "1", "head2": "2"}),
    ("start", {}),
    ("layers", _SMALL),
    ("build", {"rows": "4", "circuit": "L1H3"}),
    ("sets", _ON_SET | {"measure": "attention", "side": "corrupt"}),
    ("sets", _ON_SET | {"measure": "direct"}),
    ("finder", _ON_SET | {"input": "set", "score": "previous"}),
)
# Of these the tables have other heads, those alone that stand out, or rows, whose mean is kept.
OTHERS = ("Detectors", "Heads like L1H4", "L1H3 on every prompt")


def number(key: str, **others: object) -> Number:
    reading = READINGS[key]
    return read_number(reading, reading.settings_from({**_SETTINGS, **others}))  # type: ignore[dict-item]


def findings_of(app: AppTest) -> tuple[Finding, ...]:
    state: KeptFindings = app.session_state[_STATE]
    return state.findings


def with_findings(open_page: Open, *findings: Finding, **query: str) -> AppTest:
    """The page of findings, of a visitor who has these."""
    app = open_page("findings", **query)
    app.session_state[_STATE] = KeptFindings(findings, loaded=True)
    return app.run()


@pytest.mark.parametrize(("page", "query"), VIEWS)
def test_what_keep_reads_is_what_the_figure_shows(
    frames_of: Frames,  # noqa: F811
    page: str,
    query: dict[str, str],
) -> None:
    compared = 0
    for frame in frames_of(page, **query):
        if frame.title in OTHERS:
            continue
        shown = exported(frame)
        assert view_of(frame).page == frame.subject.selection.page
        for reading in readings_of(frame):
            settings = settings_of(reading, frame.subject)
            values = list(_values(reading, settings, frame.subject)) if len(shown) else []
            if not values:
                continue
            near = min(np.abs(shown - value).min() for value in values)
            assert near <= 1e-5 * max(1, max(map(abs, values))), (frame.title, reading.key)
            compared += 1
    assert compared or page in ("compare", "start", "tokens", "layers", "build")


def _values(reading: Reading, settings: dict[str, Value], subject: Subject) -> Iterator[float]:
    """A number of the head that the figure is about, or of all heads where its reader chooses."""
    if any(settings[key] is None for key in settings.keys() - OPEN - {"layer", "head"}):
        return
    fixed = subject.head is not None or "layer" not in settings
    for head in [None] if fixed else all_heads(subject.selection.info):
        others: dict[str, Value] = {"layer": head.layer, "head": head.head} if head else {}
        with suppress(AnalysisError):  # not defined for this one
            yield read_number(reading, {**settings, **others}).value


def opened(app: AppTest, key: str) -> AppTest:
    """The same with a menu that a browser says is open; the harness forgets that with each run."""
    app.session_state[key] = True
    return app


def test_a_score_is_kept_with_a_claim_and_a_name_and_holds_on_the_page_of_findings(
    open_at: Open,  # noqa: F811
) -> None:
    app, menu = open_at("head", **_SMALL), "Keep of Scores"
    opened(app, menu).run()
    opened(app, menu).selectbox(key="keep which Scores").set_value("induction").run()
    field = next(each for each in app.text_input if each.label == "What you claim")
    assert field.value == "Induction score of L1H4"
    field.set_value("It copies *what* came after")
    next(e for e in app.text_input if e.label == "Your name for L1H4").set_value("Echo")
    opened(app, menu).button(key="keep it of Scores").click().run()
    expect_well(app)
    (kept,) = findings_of(app)
    assert kept.claim == "It copies *what* came after"
    assert kept.named("attn-only-2l", Head(1, 4)) == "Echo"
    assert kept.numbers == (number("induction"),)
    # A second number goes with it.
    opened(app, menu).run()
    opened(app, menu).selectbox(key="keep which Scores").set_value("previous").run()
    opened(app, menu).selectbox(key="keep with of Scores").set_value(kept.id).run()
    opened(app, menu).button(key="keep it of Scores").click().run()
    app.switch_page("pages/findings.py").run()
    expect_well(app)
    shown = [text_of(each.value) for each in app.markdown]
    assert shown.count(":green[holds]") == 2
    assert text_of(app.subheader[0].value) == "It copies *what* came after"


def test_a_passport_is_kept_whole_with_its_sentence(open_at: Open) -> None:  # noqa: F811
    app, title = open_at("head", **_SMALL), "L1H4 in one sentence"
    opened(app, f"Keep of {title}").run()
    opened(app, f"Keep of {title}").button(key=f"keep it of {title}").click().run()
    (kept,) = findings_of(app)
    assert kept.claim.startswith("L1H4: ")
    assert {each.reading.key for each in kept.numbers} >= {"induction", "copying", "ablation"}


def test_the_end_of_a_lesson_is_kept_with_its_numbers(open_at: Open) -> None:  # noqa: F811
    answers = ",".join(["shown"] * 8)
    app = open_at("learn", lesson="8", answers=answers)
    opened(app, "keep lesson").run()
    opened(app, "keep lesson").button(key="keep it lesson").click().run()
    expect_well(app)
    (kept,) = findings_of(app)
    assert isinstance(kept.evidence[0], View)
    assert kept.evidence[0].link == ("learn", {"lesson": "8", "answers": answers})
    assert len(kept.note.splitlines()) == 8
    assert {each.reading.key for each in kept.numbers} >= {"second_half_loss", "composition"}


def test_numbers_are_marked_as_what_they_are_and_findings_are_moved_and_deleted(
    open_at: Open,  # noqa: F811
) -> None:
    good, bad = number("induction"), number("previous", head=2)
    absent = Number(good.reading, {**good.settings, "model": "gone"}, 0.5, good.date)
    wrong = Number(bad.reading, bad.settings, bad.value + 0.1, bad.date)
    first = Finding("0" * 12, "First", "", (good,))
    app = with_findings(open_at, first, Finding("1" * 12, "Second", "", (wrong, absent)))
    marks = [each.value for each in app.markdown if each.value.startswith(":")]
    assert marks[0] == ":green[holds]"
    assert text_of(marks[1]) == f":red[differs: now {bad.value:.4g}]"
    assert text_of(marks[2]).startswith(":gray[not computed here: There is no model")
    app.button(key=f"down {'0' * 12}").click().run()
    assert [each.claim for each in findings_of(app)] == ["Second", "First"]
    app.button(key=f"delete {'1' * 12}").click().run()
    assert [each.claim for each in findings_of(app)] == ["First"]
    opened(app, "take along").run()
    expect_well(app)
    assert {each.label for each in app.get("download_button")} >= {"Markdown", "Notebook", "File"}


def test_findings_are_presented_as_a_list_of_views(open_at: Open) -> None:  # noqa: F811
    evidence = (number("induction"), View("circuits", {"layer": 1, "head": 4}, "Its circuits"))
    app = with_findings(open_at, Finding("0" * 12, "Claim", "", evidence))
    next(each for each in app.button if each.label == "Present them").click().run()
    expect_well(app)
    assert app.session_state["headscope.room"].views == [each.link for each in evidence]
    assert "1 of 2" in [each.value for each in app.caption]


def test_a_shared_finding_is_shown_checked_and_kept_by_choice(
    open_at: Open,  # noqa: F811
) -> None:
    text = packed(Finding("0" * 12, "Theirs", "", (number("induction"),)))
    assert text
    app = open_at("findings", finding=text)
    expect_well(app)
    assert findings_of(app) == ()
    assert ":green[holds]" in [each.value for each in app.markdown]
    next(each for each in app.button if each.label == "Keep it with yours").click().run()
    assert [each.claim for each in findings_of(app)] == ["Theirs"]
    assert "finding" not in address(app)
    damaged = open_at("findings", finding=text[:-9])
    expect_well(damaged)
    assert any("cannot be read" in sentence for sentence in said(damaged))


def test_hostile_text_of_a_finding_is_text_on_the_page(open_at: Open) -> None:  # noqa: F811
    for text in HOSTILE:
        plain = text.replace("\0", "")
        prompt = {"input": "prompt", "prompt": plain, "bos": True}
        kept = Number(READINGS["loss"], {"model": plain[:50], **prompt}, 0.5, "2026-11-26")
        view = View("tokens", {"model": "attn-only-2l", **prompt}, plain)
        made = Finding("0" * 12, plain, plain, (kept, view)).with_name(
            plain, Head(1, 4), plain[:40]
        )
        app = with_findings(open_at, made)
        expect_well(app)
        assert unescaped(by_sink(app.main)) == []


def test_what_a_browser_kept_is_merged_or_refused_and_what_is_new_is_not_lost(
    open_at: Open,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from app.shell import kept as module

    class Session(dict):  # type: ignore[type-arg]
        """What `st.session_state` is here."""

    session = Session()
    monkeypatch.setattr(module.st, "session_state", session)
    there, new = Finding("0" * 12, "There"), Finding("1" * 12, "New")
    session[module._KEEPER] = {"found": {"text": to_text([there]), "blocked": False}}
    module.keep([new])
    module._take_found()
    assert [each.claim for each in module.kept().findings] == ["There", "New"]
    for text in (json.dumps({"format": "x"}), "<script>", 7, None):
        session[module._KEEPER] = {"found": {"text": text}}
        module._take_found()
        assert len(module.kept().findings) == 2
    assert "cannot be read" in module.kept().refused


def test_a_frame_of_another_run_than_its_links_keeps_its_view_alone(
    frames_of: Frames,  # noqa: F811
) -> None:
    for page in ("mosaic", "training"):
        frames: list[Frame] = frames_of(page)
        assert frames
        assert not any(map(readings_of, frames))


@pytest.mark.parametrize("page", ["head", "finder"])
def test_what_a_visitor_calls_a_head_stands_where_its_label_does(open_at: Open, page: str) -> None:
    head, other = Head(1, 4), Head(0, 2)
    own = Finding("a" * 12, "mine").with_name("attn-only-2l", head, HOSTILE[0][:40])
    of_another = Finding("b" * 12, "elsewhere").with_name("gelu-4l", other, "not of this model")
    app = open_at(page, **_SMALL)
    expect_well(app)
    app.session_state[_STATE] = KeptFindings((of_another,), loaded=True)
    expect_well(app.run())
    assert "Your name" not in app.dataframe[0].value.columns
    assert not [each for each in app.text if "You call" in each.value]
    app.session_state[_STATE] = KeptFindings((own, of_another), loaded=True)
    expect_well(app.run())
    if page == "head":
        assert [each for each in app.text if each.value.startswith("You call L1H4 “")]
        return
    named = app.dataframe[0].value.set_index("Head")["Your name"]
    assert named["L1H4"] and named.astype(bool).sum() == 1
