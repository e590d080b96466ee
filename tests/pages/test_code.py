"""Every figure's Code gives that figure's numbers, and its files say what it is about."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

import analysis
from analysis.definitions import TOKEN_ABLATION
from analysis.head import Head, all_heads
from app.frame.export import Frame, exhibit_files, file_name
from app.frame.snippets import NotInSubject, snippet
from app.links.subject import Subject
from app.theme import LIGHT
from tests.pages.frames import Frames, frames_of
from tests.pages.test_pages import open_at
from tests.snippets import agrees, run

__all__ = ["frames_of", "open_at"]

# Enough for every figure, and short enough that the code of each runs in a moment.
_SMALL = {"input": "repeated", "length": "9", "batch": "2"}
_PROMPT = {"input": "prompt", "prompt": "The cat sat. The cat saw the dog, and the dog sat."}
_SET = {"input": "set", "rows": "6", "to": "end", "of": "subject"}
# Of three lengths, and with a place of its own.
_OWN = (
    "prompt,corrupt,answer,foil,place:it\n"
    "The old cat sat by the old,The red cat sat by the red, cat, house,cat\n"
    "One day the dog saw a cat and the dog,One day the cat saw a dog and the cat, saw, cat,dog#2\n"
    "The cat and the dog saw the cat,The dog and the dog saw the dog, and, sat,cat#2\n"
)
LINKS: dict[str, tuple[Mapping[str, str], ...]] = {
    "tokens": (_SMALL | {"sequence": "1"}, _PROMPT, {"bos": "0"}),
    "layers": (_SMALL | {"sequence": "1"}, _PROMPT | {"off": "L0H3,L1H2", "position": "4"}),
    "attention": (
        _SMALL | {"layer": "1", "head": "3", "sequence": "1"},
        {"view": "circuitsvis", "layer": "1", "head": "2", "weighting": "value"},
        _PROMPT | {"threshold": "0.1", "weighting": "answer", "answer": " dog"},
    ),
    "head": (
        _SMALL | {"layer": "1", "head": "4", "method": "resample", "swap": "7", "sequence": "1"},
        _PROMPT | {"layer": "1", "head": "2", "dest": "6", "src": "2", "token": " the"},
        _SMALL
        | {"layer": "0", "head": "5", "answer": " house", "foil": " sea"}
        | {"weighting": "answer"},
    ),
    "intervene": (
        _PROMPT
        | {"layer": "1", "head": "4", "recipe": "L0H0x0.5_L1H4q6k2_off-L0H1x0_L1H3q5k1x0"}
        | {"write": "5", "acts": "written"},
        _PROMPT
        | {"recipe": "L0H2-mean_L0H3-resample_R1x0.5", "swap": "3", "prompt2": "A cat."}
        | {"flip": "1", "write": "6", "temperature": "0.8", "seed": "5"},
        _SMALL | {"sequence": "1", "recipe": "none", "answer": " house", "foil": " sea"},
        _PROMPT
        | {"recipe": "L0H3-borrow_L1H2x0_R1p4", "write": "4", "acts": "prompt"}
        | {"prompt2": "The dog ran. The dog heard the cat, and the cat ran."},
    ),
    "activations": (
        _SMALL | {"point": "q", "layer": "1", "head": "3", "sequence": "1"},
        {"point": "resid_post", "layer": "0"},
        _PROMPT | {"point": "attn_scores", "layer": "1", "head": "5"},
    ),
    "neurons": (
        _SMALL | {"layer": "1", "neuron": "17", "sequence": "1"},
        _PROMPT | {"neuron": "5"},
        {"layer": "0"},
    ),
    "finder": (
        _SMALL | {"layer": "1", "head": "2"},
        _PROMPT | {"rank": "previous", "only": "1"},
        {"x": "entropy", "y": "eigenvalue", "minimum": "0.2"},
    ),
    "induction": (
        _SMALL | {"layer": "1", "head": "4", "sequence": "1"},
        _PROMPT | {"weighting": "answer"},
        {"threshold": "0.7", "seed": "3", "weighting": "value"},
        {"input": "set", "rows": "6", "set": "repeated-name"},
    ),
    "sets": (
        {"rows": "6", "to": "subject again", "of": "subject", "layer": "1", "head": "2"},
        {"rows": "6", "measure": "score", "score": "duplicate"},
        {"rows": "6", "measure": "ablation", "method": "mean"},
        {"rows": "6", "measure": "patching"},
        {"rows": "6", "measure": "direct", "layer": "0", "head": "3"},
        {"rows": "6", "to": "end", "of": "subject", "side": "difference"},
        {"rows": "6", "measure": "score", "score": "distance", "side": "corrupt"},
        {"set": "own", "lines": _OWN, "measure": "ablation", "to": "end", "of": "it"},
        {
            "set": "own",
            "lines": _OWN,
            "measure": "score",
            "score": "duplicate",
            "side": "difference",
        },
    ),
    "roles": (
        {"rows": "6", "role": "subject-suppressor", "group": "L1H3", "judge": "1"},
        {"rows": "6", "role": "induction-on-text", "set": "repeated-name", "group": "L1H3,L0H1"}
        | {"judge": "1", "method": "mean"},
        {"rows": "6", "role": "duplicate-on-text", "group": "L1H2", "judge": "1"}
        | {"method": "resample"},
        {"rows": "6", "role": "sink", "set": "plural"},
    ),
    "build": (
        {"rows": "6", "circuit": "L0H0,L1H2,L1H4", "beside": "L0H0,L1H1"},
        {"rows": "6", "method": "zero", "set": "greater-than"},
    ),
    "long": (
        {"upto": "60", "layer": "1", "head": "4", "dest": "40", "src": "9"},
        {"upto": "30", "long": "The cat sat. " * 20, "layer": "1", "head": "2"},
    ),
    # One: its code runs over a whole text, once for each figure.
    "corpus": ({"layer": "1", "head": "4", "order": "effect"},),
    "mosaic": ({"score": "previous"}, {"score": "entropy"}, {"sort": "best"}),
    "training": (
        {"score": "previous", "step": "1221"},
        {"scale": "linear", "layer": "1", "head": "2"},
        {"score": "entropy"},
    ),
    "attribution": (
        _SMALL | {"position": "5", "sequence": "1"},
        _PROMPT | {"answer": " dog", "foil": " sea"},
        {"position": "3"},
    ),
    "ablation": (
        _SMALL | {"layer": "1", "head": "2", "together": "L0H0,L1H2", "keep": "L0H0,L1H2"},
        _SMALL | {"method": "mean", "offsets": "0,5", "keep": "none"},
        _SMALL | {"batch": "3", "method": "resample", "swap": "7"},
    ),
    "patching": (
        _SMALL | {"patch": "resid_pre", "layer": "1", "column": "4"},
        _SMALL | {"patch": "v", "exact": "top", "top": "3", "paths": "1"},
        _SMALL | {"patch": "pattern", "edges": "5", "reader": "L1H2", "paths": "1", "into": "q"},
    ),
    "circuits": (
        {"heads": "L1H2,L1H4", "sample": "20", "draw": "3"},
        {"layer": "1", "head": "3", "layer2": "0", "head2": "4", "token": " the"},
        _PROMPT | {"heads": "L0H1", "layer": "0", "head": "1"},
    ),
    "composition": (
        _SMALL | {"kind": "V", "layer": "1", "head": "2", "pairs": "3"},
        _PROMPT | {"kind": "Q", "qpart": "0", "kpart": "2"},
        _SMALL | {"layer": "1", "head": "4", "layer2": "0", "head2": "0"},
    ),
    "compare": (
        _SMALL
        | {"by": "head", "layer": "1", "head": "2", "layer2": "1", "head2": "4"}
        | {"weighting": "value"},
        _PROMPT | {"by": "prompt"},
        _PROMPT | {"by": "ablate", "layer": "1", "head": "4", "weighting": "answer"},
        _SMALL | {"by": "model", "sequence": "1"},
        _SET | {"by": "head", "measure": "ablation", "method": "resample"},
        _SET | {"by": "head", "measure": "score", "side": "difference"},
        _SET | {"by": "prompt", "measure": "score", "score": "previous"},
        _SET | {"by": "ablate", "measure": "direct", "ablate": "L0H1"},
        _SET | {"by": "model", "measure": "direct"},
    ),
    "learn": (
        {"lesson": "3", "answers": "second,L1H2"},
        {"lesson": "7"},
        {"lesson": "8"},
        {"guide": "looks", "lesson": "5", "answers": "most,L3H1,alike,L3H5,cause"},
    ),
}
# Slow at ten sequences of 101 tokens, so begun on fewer.
_SLOW = ("ablation", "patching", "composition")
MODELS = ("attn-only-2l", "gelu-4l")
VIEWS = [
    pytest.param(page, {"model": model, **query}, id=f"{model}-{page}-{number}")
    for model in MODELS
    for page, links in LINKS.items()
    for number, query in enumerate((_SMALL if page in _SLOW else {}, *links))
    if page != "learn" or model == "attn-only-2l"
]
LABEL = re.compile(r"L\d{1,3}[HN]\d{1,4}")


@pytest.mark.parametrize(("page", "query"), VIEWS)
def test_the_code_of_every_figure_gives_its_numbers(
    frames_of: Frames,  # noqa: F811
    page: str,
    query: dict[str, str],
) -> None:
    frames = frames_of(page, **query)
    compared = {frame.title: agrees(frame) for frame in frames}
    assert [title for title, well in compared.items() if well is False] == []
    # Work that a model or an input does not allow leaves a frame empty, but never all of them.
    # (Without MLPs there are no neurons.)
    assert True in compared.values() or (page, query["model"]) == ("neurons", "attn-only-2l")
    for frame in frames:
        _check_labels(frame)
        for exhibit in frame.exhibits:
            about = frame.about(exhibit)
            name = file_name(about.subject, exhibit.name)
            assert name.startswith(about.subject.name)
            assert name.endswith(about.subject.selection.info.name)
            assert not re.search("_[0-9]+$", name)


def _check_labels(frame: Frame) -> None:
    """A title names no head or neuron that the figure is not about."""
    named = set(LABEL.findall(frame.title))
    if frame.title.startswith(("Heads ", "Pairs ")):
        return
    assert named <= set(_labels(frame.subject)), frame.title


def _labels(subject: Subject) -> Iterator[str]:
    heads = (subject.head, subject.writer, *subject.heads, *subject.without)
    yield from (head.label for head in heads if head)
    yield subject.name
    if subject.second:
        yield from _labels(subject.second)


def _other(subject: Subject) -> Subject | None:
    """The same about another head, heads, neuron or kept set; None if it is about all heads."""
    info = subject.selection.info

    def next_of(head: Head) -> Head:
        every = all_heads(info)
        return every[(every.index(head) + 1) % len(every)]

    if subject.neuron is not None:
        return replace(subject, neuron=(subject.neuron + 1) % info.d_mlp)
    if subject.kept is not None:
        return replace(subject, kept=subject.kept[1:])
    if subject.column is not None:  # many heads and positions do nothing, alike
        return replace(subject, activation="v" if subject.activation != "v" else "z")
    if subject.heads:
        return replace(subject, heads=tuple(map(next_of, subject.heads)))
    if subject.head is not None:
        return replace(subject, head=next_of(subject.head))
    return None


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("attention", {"view": "circuitsvis", "layer": "1"}),
        ("head", _SMALL | {"layer": "1", "head": "4"}),
        ("neurons", {"model": "gelu-4l"}),
        ("induction", {}),
        ("ablation", _SMALL),
        ("patching", _SMALL),
        ("circuits", {}),
        ("composition", _SMALL),
        ("compare", _SMALL),
    ],
)
def test_a_figure_with_a_wrong_subject_is_found_out(
    frames_of: Frames,  # noqa: F811
    page: str,
    query: dict[str, str],
) -> None:
    """The test above must be able to fail, for every figure that is about something."""
    tried = 0
    for frame in frames_of(page, **query):
        wrong = _other(frame.subject)
        if wrong is None or not agrees(frame):
            continue
        tried += 1
        assert agrees(frame, wrong) is False, frame.title
    assert tried >= 1


def test_the_code_of_means_has_the_intervals_of_the_figure(
    frames_of: Frames,  # noqa: F811
) -> None:
    """A file has them in other columns than the numbers that every figure is compared by."""
    frames = frames_of("sets", rows="6", to="end", of="subject", side="difference")
    frame = next(frame for frame in frames if frame.title == "Largest differences")
    code = snippet(frame.quantities, frame.subject)
    assert code
    model = analysis.load_model("attn-only-2l", device="cpu")
    prompts = analysis.prompt_set(model, "indirect-object", count=6)
    spread = analysis.attention_by_row(model, prompts, "end", "subject", "difference").spread()
    layers, heads = np.array([(head.layer, head.head) for head in frame.subject.heads]).T
    wanted = [each[layers, heads] for each in (spread.mean, spread.low, spread.high)]
    np.testing.assert_allclose(run(code)[-1], wanted, atol=1e-5)


def test_a_subject_that_lacks_the_head_is_an_error_and_not_a_guess(
    frames_of: Frames,  # noqa: F811
) -> None:
    frame = next(f for f in frames_of("induction") if f.title.startswith("How far back"))
    with pytest.raises(NotInSubject, match="HEAD|LAYER"):
        snippet([TOKEN_ABLATION], replace(frame.subject, head=None))


@pytest.mark.parametrize("page", ["head", "attention", "induction", "compare", "circuits"])
def test_a_file_says_model_input_head_and_date(
    frames_of: Frames,  # noqa: F811
    page: str,
) -> None:
    for frame in frames_of(page, layer="1", head="2"):
        for exhibit in frame.exhibits:
            about = frame.about(exhibit)
            files = exhibit_files(exhibit, about, LIGHT, "name", "/")
            text = files["HTML"]().decode()
            subject = about.subject
            for said in (subject.selection.info.title, about.date, subject.name):
                assert said in text
            assert ("random tokens" in text) or ("prompt “" in text) or not subject.on_input
            # What a person does on the screen is no part of a file.
            said = f"{about.title} {about.reading}"
            assert not re.search(r"\b([Cc]lick|[Hh]over|[Pp]oint at|[Tt]ick|[Uu]ntick)\b", said)


def test_the_grid_exports_all_heads_and_the_one_in_focus_by_its_name(
    frames_of: Frames,  # noqa: F811
) -> None:
    frame = frames_of("attention", layer="1", head="4")[0]
    names = [file_name(frame.about(e).subject, e.name) for e in frame.exhibits]
    assert names == ["pattern-attn-only-2l", "L1H4-pattern-attn-only-2l"]
    assert frame.about(frame.exhibits[1]).title == "Pattern of L1H4"
    grid = frame.exhibits[0]
    assert grid.page
    assert grid.picture
    page = grid.page("name")
    assert "Tokens: 0 " in page
    assert "linear-gradient" in page
    svg = grid.picture("the prompt and its date").decode()
    assert "the prompt and its date" in svg
    assert svg.count("<image") == 16


def test_the_code_of_a_comparison_has_both_sides(frames_of: Frames) -> None:  # noqa: F811
    frame = frames_of("compare", **_SMALL, by="head")[0]
    code = snippet(frame.quantities, frame.subject)
    assert code
    assert len(run(code)) == 2
