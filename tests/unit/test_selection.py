"""What a link may hold: parsing, bounds, defaults, and the way back."""

import re
from urllib.parse import urlencode

import pytest

from analysis import limits
from analysis.limits import sweep_seconds, sweep_size
from analysis.models.catalog import find_model
from app.links import session
from app.links.link import left_out, link_parameters, parse_link
from app.links.pages import PAGES
from app.links.parameters import BY_KEY, MAX_LINK_PROMPT, PARAMETERS, Parameter
from tests.hostile import HOSTILE

PAGE_NAMES = [page.name for page in PAGES]
VALUES = {
    "order": "effect",
    "model": "attn-only-2l",
    "input": "repeated",
    "prompt": "a & b = c? #d+e “f” \n é 日本",
    "chat": "user: a & b = c?\nassistant: é 日本",
    "speaker": "user",
    "off": "L0H1,L1H3",
    "depth": 1,
    "arcs": 0.25,
    "tofirst": True,
    "length": 7,
    "batch": 3,
    "seed": 4294967295,
    "bos": False,
    "layer": 1,
    "head": 6,
    "threshold": 0.25,
    "sequence": 2,
    "position": 11,
    "answer": " Jane",
    "foil": "<b>",
    "set": "plural",
    "lines": 'The <b>cat</b>\nOne day, "and"',
    "hash": "0123456789abcdef",
    "rows": 12,
    "measure": "score",
    "to": "it",
    "of": "<i>subject</i>",
    "side": "difference",
    "row": 3,
    "role": "induction",
    "group": "L0H1,L1H3",
    "judge": True,
    "view": "circuitsvis",
    "locked": "L0H1,L1H3",
    "at": "3,17",
    "direction": "src",
    "weighting": "answer",
    "flip": True,
    "method": "mean",
    "swap": 3,
    "together": "L1H1,L1H2",
    "by": "head",
    "ablate": "L0H3",
    "ids": "[0, 5, 7]",
    "keep": "L0H0,L1H4",
    "offsets": "1,2,3,4",
    "layer2": 0,
    "head2": 7,
    "prompt2": "<i>another</i> & one",
    "recipe": "L0H1x0.5_off-L1H2q5k3",
    "long": "It was a dark night.",
    "upto": 300,
    "circuit": "L0H1,L1H2_L0H1-L1K2,L1H2-logits",
    "beside": "L0H1,L1H4;L0H2_L0H2-logits",
    "write": 12,
    "temperature": 0.7,
    "acts": "written",
    "model2": "attn-only-2l",
    "clean": "one <b>clean</b>",
    "corrupt": "and one & corrupt",
    "against": "and one more & corrupt",
    "patch": "resid_pre",
    "column": 5,
    "exact": "top",
    "top": 7,
    "reader": "L1H4",
    "into": "v",
    "paths": True,
    "edges": 12,
    "dest": 12,
    "src": 4,
    "token": " sea",
    "rank": "eigenvalue",
    "minimum": -0.5,
    "only": 1,
    "measured": True,
    "x": "entropy",
    "y": "duplicate",
    "point": "resid_pre",
    "feature": 256,
    "list": "parameters",
    "within": 1,
    "find": "W_<O>",
    "neuron": 17,
    "heads": "L1H2,L1H4",
    "sample": 30,
    "draw": 5,
    "kind": "V",
    "pairs": 3,
    "writers": 1,
    "weight": "W_O",
    "readers": 1,
    "stripes": True,
    "qpart": 0,
    "kpart": 2,
    "score": "previous",
    "family": "Pythia",
    "sort": "best",
    "step": 1221,
    "scale": "linear",
    "guide": "looks",
    "lesson": 4,
    "answers": "second,L1H2,,mine",
    "finding": "eNqrVkrLL8pNLFGyUqpWSk0sSgGyMlKVamsBYpQHqA",
    "room": "abcdefgh-_345678",
    "term": "destination (query)",
}


def test_every_parameter_has_an_example_here() -> None:
    assert set(VALUES) == {parameter.key for parameter in PARAMETERS}


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_a_link_read_back_is_the_view_it_was_made_from(page: str) -> None:
    link = link_parameters(page, VALUES)
    values, notes = parse_link(page, {key: [text] for key, text in link.items()})
    assert notes == []
    for parameter in PARAMETERS:
        if not parameter.pages or page in parameter.pages:
            read = values.get(parameter.key)
            assert read == VALUES[parameter.key] or parameter.key not in link
    assert link_parameters(page, values) == link


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_defaults_are_left_out_of_links(page: str) -> None:
    assert link_parameters(page, {}) == {}


def test_a_page_whose_question_needs_repeated_tokens_begins_with_them() -> None:
    assert link_parameters("induction", {"input": "repeated"}) == {}
    assert link_parameters("induction", {"input": "prompt"}) == {"input": "prompt"}
    assert link_parameters("tokens", {"input": "repeated"}) == {"input": "repeated"}


def test_a_sweep_over_a_large_model_begins_with_few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a link says is taken, and what it leaves out is the model's own."""
    small, large = {"model": "attn-only-2l"}, {"model": "gelu-4l"}
    gelu = find_model("gelu-4l")
    one_token = sweep_seconds(24, gelu.operations, 1)
    monkeypatch.setattr(limits, "_SWEEP_SECONDS", 600 * one_token)
    assert BY_KEY["batch"].default_on("ablation", "gelu-4l") == 5  # of 101 tokens
    assert BY_KEY["batch"].default_on("ablation", "attn-only-2l") == 10
    assert BY_KEY["batch"].default_on("induction", "gelu-4l") == 10
    for name in (None, "no such model", "<b>"):  # the first model is shown
        assert BY_KEY["batch"].default_on("ablation", name) == 10
    assert link_parameters("ablation", {**large, "batch": 5}) == large
    assert link_parameters("ablation", {**large, "batch": 10}) == {**large, "batch": "10"}
    assert link_parameters("ablation", {**small, "batch": 10}) == {}
    notes = parse_link("ablation", {"model": ["gelu-4l"], "batch": ["x"]})[1]
    assert "this is 5." in notes[0]


def test_fewer_sequences_and_then_a_shorter_half_make_a_sweep_short() -> None:
    smollm2 = (270, 2 * 134_515_008)
    assert sweep_size(16, 2 * 10**6, 512) == (50, 10)
    assert sweep_size(*smollm2, 2048) == (27, 2)
    assert 30 < sweep_seconds(*smollm2, 2 * 55) < 60
    assert sweep_size(336, 2 * 494 * 10**6, 2048) == (10, 2)
    assert sweep_size(1024, 14 * 10**9, 2048) == (10, 2)  # no fewer, however large it is
    assert sweep_size(16, 2 * 10**6, 64) == (31, 10)
    assert sweep_size(1024, 14 * 10**9, 16) == (7, 2)


def test_what_a_page_does_not_use_stays_out_of_its_link() -> None:
    assert link_parameters("tokens", {"method": "mean", "seed": 3}) == {"seed": "3"}


def test_a_prompt_too_long_for_a_link_is_left_out() -> None:
    assert link_parameters("tokens", {"prompt": "x" * MAX_LINK_PROMPT}) != {}
    assert link_parameters("tokens", {"prompt": "x" * (MAX_LINK_PROMPT + 1)}) == {}


@pytest.mark.parametrize(("letter", "fits"), [("ж", 1100), ("猫", 700), ("a", 1500)])
def test_a_link_is_bounded_in_bytes_as_it_is_sent(letter: str, fits: int) -> None:
    """A Cyrillic letter is six bytes of an address: 1,500 of them were refused by proxies."""
    assert "prompt" in link_parameters("tokens", {"prompt": letter * fits})
    assert left_out("tokens", {"prompt": letter * 1501}) == {"prompt"}
    both = {"clean": letter * 1000, "corrupt": letter * 1400}
    link = link_parameters("patching", both)
    assert len(urlencode(link)) < 8000
    # The longer one goes first.
    assert left_out("patching", both) in (set(), {"corrupt"}, {"clean", "corrupt"})


def test_a_key_in_capitals_is_said_to_be_read_in_small_letters_only() -> None:
    values, notes = parse_link("tokens", {"Prompt": ["a"], "MODEL": ["b"], "Utm": ["c"]})
    assert values == {}
    assert [note.split()[0] for note in notes] == ["Prompt", "MODEL"]
    assert "write prompt in small letters" in notes[0]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("length", "1"),
        ("length", "256"),
        ("length", "99999999999999999999"),
        ("length", "-5"),
        ("length", "5.0"),
        ("length", "1e2"),
        ("length", " 5"),
        ("length", "5_0"),
        ("length", "٥"),
        ("length", ""),
        ("length", "NaN"),
        ("batch", "0"),
        ("batch", "65"),
        ("seed", "-1"),
        ("seed", "4294967296"),
        ("bos", "true"),
        ("bos", "2"),
        ("input", "file"),
        ("input", "../../etc/passwd"),
        ("layer", "1000"),
        ("threshold", "1.01"),
        ("threshold", "inf"),
        ("threshold", "-0"),
        ("method", "Zero"),
        ("dest", "-2"),
        ("src", "1.5"),
        ("token", "x" * 41),
        ("rank", "loss"),
        ("minimum", "-1.5"),
        ("only", "-2"),
        ("measured", "yes"),
        ("x", "__class__"),
        ("view", "table"),
        ("locked", "L0H1,L1"),
        ("locked", ",".join(["L0H1"] * 7)),
        ("keep", "L0H1,none"),
        ("keep", ",".join(["L0H1"] * 301)),
        ("offsets", "1,,2"),
        ("offsets", ",".join(["1"] * 11)),
        ("at", "3,"),
        ("at", "-1"),
        ("at", ",".join(["1"] * 17)),
        ("direction", "up"),
        ("prompt", "x" * (MAX_LINK_PROMPT + 1)),
        ("answer", "x" * 41),
    ],
)
def test_a_bad_value_falls_back_and_is_said_in_one_sentence(key: str, text: str) -> None:
    page = next((p.pages[0] for p in PARAMETERS if p.key == key and p.pages), "tokens")
    values, notes = parse_link(page, {key: [text]})
    assert key not in values
    assert len(notes) == 1
    assert notes[0].startswith(f"{BY_KEY[key].said}: ")
    assert len(notes[0]) < 250


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_a_prompt_like_any_other_and_nothing_else(text: str) -> None:
    link = {parameter.key: [text] for parameter in PARAMETERS}
    values, notes = parse_link("attribution", link)
    assert values.get("prompt") == text
    free_text = {"prompt", "chat", "prompt2", "answer", "foil", "token", "model", "model2"}
    free_text |= {"find", "point", "ids", "clean", "corrupt", "against", "term", "lines"}
    free_text |= {"long"}
    free_text |= {"to", "of"}
    assert set(values) <= free_text
    assert not [note for note in notes if set("\x00\x1b\u202e\u2028") & set(note)]


def test_a_key_that_stands_twice_counts_once_and_is_said() -> None:
    values, notes = parse_link("tokens", {"seed": ["1", "2"]})
    assert values == {"seed": 2}
    assert len(notes) == 1


def test_unknown_keys_are_ignored() -> None:
    assert parse_link("tokens", {"utm_source": ["x"], "embed": ["true"]}) == ({}, [])


def test_what_a_widget_reports_is_checked_like_a_link(monkeypatch):
    """A browser sends what its visitor makes it send; Streamlit's own checks are not ours."""
    state = session._State(chosen={"seed": 3})
    monkeypatch.setattr(session, "own_state", lambda: state)
    changed = {
        "seed": -5,
        "length": 10**9,
        "bos": "<b>",
        "layer": None,
        "ids": "7" * 1000,
        "input": "\u202efile",
        "batch": 4,
        "threshold": 0.15000000000000002,
        "prompt": "the sea " * 10_000,
    }
    notes = session._take_changes(changed)
    said = [f"{BY_KEY[key].said}: " for key in changed][:6]
    assert all(note.startswith(name) for note, name in zip(notes, said, strict=True))
    assert all(note.isprintable() and note.endswith("it stays as it was.") for note in notes)
    # Whoever types a prompt has chosen a prompt.
    kept = {"batch": 4, "threshold": 0.15, "prompt": changed["prompt"], "input": "prompt"}
    assert state.chosen == {"seed": 3, **kept}


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.key)
def test_what_is_refused_is_named_in_words_with_its_spaces(parameter: Parameter) -> None:
    if parameter.key == "model":  # by any name: whether it is here is said by the page
        return
    wrong = "a wrong value " * 2000
    page = parameter.pages[0] if parameter.pages else "tokens"
    values, notes = parse_link(page, {parameter.key: [wrong]})
    if parameter.key in values:  # any text will do
        return
    assert notes[0].startswith(f"{parameter.said}: “a wrong value a wrong value ")
    assert not re.search(r"[_·=]|\b(qpart|layer2|prompt2|bos)\b", notes[0].partition("”")[0])
