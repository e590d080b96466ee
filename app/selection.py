"""The view a person has chosen: one table of what a link holds, one place that checks it.

A page calls `open_page`, which reads the address bar and the widgets, refuses what is out of
range with one sentence, writes the address back with defaults left out, draws the sidebar, and
returns the frozen `Selection`. Widgets on a page take their key from `Selection.key`, so a
changed widget is in the selection and in the link at the start of the next run.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.catalog import ModelInfo, available_models, find_model, finished_model, list_models
from analysis.definitions import PROFILE, SCORES
from analysis.errors import AnalysisError
from analysis.heads import Head
from analysis.limits import MAX_CHARACTERS, MAX_SEED, MIN_HALF
from app.config import settings
from app.glossary import linked
from app.head_grid.view import MAX_LOCKED, MAX_LOCKED_TOKENS
from app.navigation import (
    PAGES,
    ensure_entry_point,
    page_info,
    page_on_its_way,
    streamlit_page,
)
from app.other_models import draw_other_models
from app.present import current_room, draw_present, publish
from app.rooms import is_code
from app.share import UnreadableView, draw_file, draw_link, read_view_file
from app.text import display_token
from app.theme import follow_theme

Value = str | int | float | bool

DEFAULT_PROMPT = (
    "Once upon a time there was a little girl called Alice, who lived with her father in an old "
    "house by the sea. Every morning Alice went down to the sea, and every evening her father "
    "told her a story."
)
# As many tokens, but the name does not come back: what a head made of that is gone.
SECOND_PROMPT = DEFAULT_PROMPT.replace("Every morning Alice", "Every morning Emma")
# Browsers and chat programs cut longer addresses; percent-encoding can triple this.
MAX_LINK_PROMPT = 1500
MAX_HALF = 255
MAX_BATCH = settings().max_batch
MAX_JOINT = 8  # heads taken together; more bars than these cannot be told apart
MIN_SAMPLE, MAX_SAMPLE = 10, 200
MAX_PAIRS = 40
MAX_IDS = 200
MAX_WORD = 40  # of one token, or of a search
MAX_KEPT = 300
MAX_EDGES = 80
MAX_PATCHES = 40
CLEAN_PROMPT = "The red house and the old horse were by the river, and we all loved the red"
# What followed "red" follows "old": only who stands before whom has changed.
CORRUPT_PROMPT = CLEAN_PROMPT.replace("red house", "old house").replace("old horse", "red horse")
MAX_OFFSETS = 10
SORTS = ("listed", "name", "size", "best")
# Of a list of heads that the page picks where it is empty: none at all.
NO_HEAD = "none"
ALL_FAMILIES = "all"
_STATE = "headscope.selection"


class Refused(ValueError):
    """A value that is not allowed; the message completes "`<value>` is ..."."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing a link can hold: its key, default, parser from text, and what it means."""

    key: str
    default: Value
    parse: Callable[[str], Value]
    meaning: str
    pages: tuple[str, ...] = ()  # empty: every page


def _choice(*options: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in options:
            raise Refused(f"not one of {', '.join(options)}")
        return text

    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # ASCII digits only: int() would also read other scripts, underscores and spaces.
        if not re.fullmatch(r"-?[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise Refused(f"not a whole number from {low} to {high}")
        return int(text)

    return parse


def _decimal(low: float, high: float) -> Callable[[str], float]:
    sign = "-?" if low < 0 else ""

    def parse(text: str) -> float:
        number = sign + r"[0-9]{1,4}(\.[0-9]{1,6})?"
        if not re.fullmatch(number, text) or not low <= float(text) <= high:
            raise Refused(f"not a number from {low:g} to {high:g}")
        return float(text)

    return parse


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise Refused("neither 0 nor 1")
    return text == "1"


def _heads(most: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        labels = text.split(",") if text else []
        try:
            heads = [Head.parse(label) for label in labels]
        except ValueError:
            raise Refused("not a list of heads such as L0H1,L1H3") from None
        if len(heads) > most:
            raise Refused(f"more than {most} heads")
        return ",".join(head.label for head in heads)

    return parse


def _heads_or_none(most: int) -> Callable[[str], str]:
    heads = _heads(most)
    return lambda text: text if text == NO_HEAD else heads(text)


def _positions(most: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(r"([0-9]{1,5}(,[0-9]{1,5})*)?", text) or text.count(",") >= most:
            raise Refused(f"not a list of at most {most} positions such as 3,7")
        return text

    return parse


def _answers(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]{0,8}(,[A-Za-z0-9]{0,8}){0,7}", text):
        raise Refused("not a list of at most 8 answers such as second,L1H2")
    return text


def _family(text: str) -> str:
    # Looked up each time: models come and go while the server runs.
    if text != ALL_FAMILIES and text not in {info.family for info in list_models()}:
        raise Refused("no family of models")
    return text


def _room(text: str) -> str:
    if text and not is_code(text):
        raise Refused("not the code of a room")
    return text


def _text(longest: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if len(text) > longest:
            raise Refused(f"longer than {longest:,} characters")
        return text

    return parse


_PROMPTS = ("prompt", "prompt2", "clean", "corrupt")
_PROFILE = _choice(*PROFILE)
_ANSWERS = ("attribution", "head", "patching")
_TWO_HEADS = ("compare", "circuits", "composition")
_OVERVIEWS = ("mosaic", "training")
_THRESHOLD = "scores above it count as that kind of head"
PARAMETERS = (
    Parameter("model", list_models()[0].name, str, "model, by its name; name@step: a checkpoint"),
    Parameter("input", "prompt", _choice("prompt", "repeated"), "a prompt or repeated tokens"),
    Parameter("prompt", DEFAULT_PROMPT, _text(MAX_LINK_PROMPT), "the text of the prompt"),
    Parameter("length", 50, _whole(MIN_HALF, MAX_HALF), "S, tokens in the half that is repeated"),
    Parameter("batch", 10, _whole(1, MAX_BATCH), "number of repeated sequences"),
    Parameter("seed", 0, _whole(0, MAX_SEED), "seed of the repeated tokens"),
    Parameter("bos", True, _switch, "1 puts the BOS token in front of the prompt"),
    Parameter("layer", 0, _whole(0, 999), "layer of the head in focus, from 0"),
    Parameter("head", 0, _whole(0, 999), "head in focus, from 0"),
    Parameter("threshold", 0.4, _decimal(0, 1), _THRESHOLD, ("attention", "induction")),
    Parameter(
        "sequence",
        0,
        _whole(0, MAX_BATCH - 1),
        "which of the repeated sequences is drawn, from 0",
        (
            "tokens",
            "attention",
            "head",
            "activations",
            "neurons",
            "induction",
            "attribution",
            "composition",
            "compare",
        ),
    ),
    Parameter(
        "position",
        -1,
        _whole(-1, 9999),
        "position of the bar chart, -1 for the last",
        ("attribution",),
    ),
    Parameter("answer", "", _text(MAX_WORD), "token whose logit is split", _ANSWERS),
    Parameter("foil", "", _text(MAX_WORD), "token it is compared with", _ANSWERS),
    Parameter(
        "view", "grid", _choice("grid", "circuitsvis"), "how patterns are drawn", ("attention",)
    ),
    Parameter("locked", "", _heads(MAX_LOCKED), "heads laid over each other", ("attention",)),
    Parameter(
        "at", "", _positions(MAX_LOCKED_TOKENS), "positions of locked tokens", ("attention",)
    ),
    Parameter(
        "direction",
        "dest",
        _choice("dest", "src"),
        "dest: what a token attends to; src: what attends to it",
        ("attention",),
    ),
    Parameter(
        "method",
        "zero",
        _choice("zero", "mean", "resample"),
        "how a head is ablated",
        ("ablation", "head"),
    ),
    Parameter(
        "swap",
        0,
        _whole(0, MAX_SEED),
        "which sequence stands in for which in resample ablation: a seed",
        ("ablation", "head"),
    ),
    Parameter("together", "", _heads(MAX_KEPT), "heads ablated together", ("ablation",)),
    Parameter(
        "keep",
        "",
        _heads_or_none(MAX_KEPT),
        "heads that are kept while all others are silenced; none: no head",
        ("ablation",),
    ),
    Parameter(
        "offsets", "", _positions(MAX_OFFSETS), "distances of one more row, 0..", ("ablation",)
    ),
    Parameter("ids", "", _text(MAX_IDS), "token ids to turn into text", ("tokens",)),
    Parameter("dest", -1, _whole(-1, 9999), "destination explained, -1: strongest", ("head",)),
    Parameter("src", -1, _whole(-1, 9999), "its source, -1: the strongest", ("head",)),
    Parameter(
        "token", "", _text(MAX_WORD), "token to look up in the circuits", ("head", "circuits")
    ),
    Parameter("heads", "", _heads(MAX_JOINT), "heads whose OV is taken jointly", ("circuits",)),
    Parameter(
        "sample",
        60,
        _whole(MIN_SAMPLE, MAX_SAMPLE),
        "how many tokens the OV heatmap shows",
        ("circuits",),
    ),
    Parameter("draw", 0, _whole(0, MAX_SEED), "which tokens it shows: a seed", ("circuits",)),
    Parameter("kind", "K", _choice("Q", "K", "V"), "what a head reads with", ("composition",)),
    Parameter("pairs", 8, _whole(1, MAX_PAIRS), "pairs of heads in the graph", ("composition",)),
    Parameter("stripes", False, _switch, "1 adds every induction head", ("composition",)),
    Parameter(
        "qpart", -1, _whole(-1, 999), "component of the queries, -1: strongest", ("composition",)
    ),
    Parameter(
        "kpart", -1, _whole(-1, 999), "component of the keys, -1: strongest", ("composition",)
    ),
    Parameter("point", "pattern", _text(20), "activation, by its short name", ("activations",)),
    Parameter("feature", 0, _whole(0, 999_999), "first feature drawn", ("activations",)),
    Parameter(
        "list",
        "activations",
        _choice("activations", "parameters"),
        "what the list holds",
        ("activations",),
    ),
    Parameter("within", -1, _whole(0, 999), "layer that the list is about", ("activations",)),
    Parameter("find", "", _text(MAX_WORD), "text that the list is searched for", ("activations",)),
    Parameter("neuron", -1, _whole(0, 999_999), "neuron of the layer, from 0", ("neurons",)),
    Parameter("rank", "induction", _PROFILE, "score that heads are ranked by", ("finder",)),
    Parameter("minimum", -1.0, _decimal(-1, 99), "least score of heads shown", ("finder",)),
    Parameter("only", -1, _whole(-1, 999), "layer whose heads are shown, -1: all", ("finder",)),
    Parameter("measured", False, _switch, "1 adds copying and the ablation effect", ("finder",)),
    Parameter("x", "previous", _PROFILE, "score along the horizontal axis", ("finder",)),
    Parameter("y", "induction", _PROFILE, "score along the vertical axis", ("finder",)),
    Parameter("score", "induction", _choice(*SCORES), "score that is shown", _OVERVIEWS),
    Parameter("family", ALL_FAMILIES, _family, "family of the models shown", ("mosaic",)),
    Parameter("sort", "listed", _choice(*SORTS), "order of the models", ("mosaic",)),
    Parameter("step", -1, _whole(-1, 99_999_999), "step of the checkpoint", ("training",)),
    Parameter("scale", "log", _choice("log", "linear"), "how steps are spaced", ("training",)),
    Parameter(
        "by",
        "ablate",
        _choice("ablate", "head", "prompt", "model"),
        "what differs between the two sides",
        ("compare",),
    ),
    Parameter("ablate", "", _heads(1), "head that the second side lacks", ("compare",)),
    Parameter("layer2", -1, _whole(0, 999), "layer of the second head", _TWO_HEADS),
    Parameter("head2", -1, _whole(0, 999), "the second head: a side, or the writer", _TWO_HEADS),
    Parameter("prompt2", SECOND_PROMPT, _text(MAX_LINK_PROMPT), "the second prompt", ("compare",)),
    Parameter("model2", "", str, "the second side's model", ("compare",)),
    Parameter("lesson", 1, _whole(1, 8), "step of the lesson", ("learn",)),
    Parameter("answers", "", _answers, "answers to the lesson's steps", ("learn",)),
    Parameter("room", "", _room, "room of a presenter that is followed"),
    Parameter("term", "", _text(60), "word that the glossary is searched for", ("glossary",)),
    Parameter(
        "clean", CLEAN_PROMPT, _text(MAX_LINK_PROMPT), "prompt with the answer", ("patching",)
    ),
    Parameter(
        "corrupt", CORRUPT_PROMPT, _text(MAX_LINK_PROMPT), "prompt without it", ("patching",)
    ),
    Parameter(
        "patch",
        "z",
        _choice("resid_pre", "attn_out", "mlp_out", "z", "q", "k", "v", "pattern"),
        "which activation is patched",
        ("patching",),
    ),
    Parameter("column", -1, _whole(-1, 9999), "position or head patched, -1: best", ("patching",)),
    Parameter(
        "exact", "none", _choice("none", "top", "all"), "which patches are run", ("patching",)
    ),
    Parameter("top", 10, _whole(1, MAX_PATCHES), "how many of the strongest", ("patching",)),
    Parameter("reader", "", _heads(1), "head at the end of the paths", ("patching",)),
    Parameter("into", "k", _choice("q", "k", "v"), "which of its inputs", ("patching",)),
    Parameter("paths", False, _switch, "1 patches every path into it", ("patching",)),
    Parameter("edges", 0, _whole(0, MAX_EDGES), "edges of the circuit, 0: enough", ("patching",)),
)
# Pages that are not about a model and an input of the visitor's choice.
_WITHOUT_INPUT = ("learn", "glossary")
_BY_KEY = {parameter.key: parameter for parameter in PARAMETERS}
# Pages whose question is best asked of repeated tokens begin there.
_PAGE_DEFAULTS: dict[tuple[str, str], Value] = {
    ("finder", "input"): "repeated",
    ("induction", "input"): "repeated",
    ("ablation", "input"): "repeated",
    ("composition", "input"): "repeated",
    ("compare", "input"): "repeated",
    ("patching", "input"): "repeated",
    ("patching", "layer"): -1,
    ("patching", "answer"): " house",
    ("patching", "foil"): " horse",
    # -1: the page picks the heads that it has most to say about.
    **{(page, key): -1 for page in _TWO_HEADS for key in ("layer", "head")},
    ("activations", "layer"): -1,
    ("activations", "head"): -1,
    ("neurons", "layer"): -1,
    ("training", "layer"): -1,
    ("training", "head"): -1,
    ("induction", "layer"): -1,
    ("induction", "head"): -1,
    ("ablation", "layer"): -1,
    ("ablation", "head"): -1,
}


@dataclass(frozen=True, slots=True)
class Selection:
    """The checked view: what to run, on what, and what to look at."""

    page: str
    values: Mapping[str, Value]
    info: ModelInfo

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def bos(self) -> bool:
        """Whether a prompt begins with BOS: as chosen, where the model has such a token."""
        return bool(self.values["bos"]) and self.info.has_bos

    def with_values(self, **values: Value) -> "Selection":
        """A view beside this one: what to run instead, without a link of its own."""
        changed = MappingProxyType({**self.values, **values})
        return Selection(self.page, changed, find_model(str(changed["model"])))

    def moved_to(self, **values: Value) -> "Selection":
        """This view with other values, which are in the link from now on.

        For what a component reports in the middle of a run; the widgets of these parameters must
        not have been drawn yet.
        """
        if all(self.values[key] == value for key, value in values.items()):
            return self
        moved = Selection(self.page, MappingProxyType({**self.values, **values}), self.info)
        _state().chosen.update(values)
        _forget_widgets(values)
        _write_state(moved)
        _draw_link(moved)
        return moved

    def key(self, parameter: str, shown: Value | None = None) -> str:
        """The widget key that ties a widget to a parameter; its current value is set under it.

        `shown` is what the widget shows for a stored value that it cannot show, such as the last
        position for -1; the stored value stays until the visitor moves the widget.

        Set in every run, not only where it differs: a browser that is slower than two runs never
        draws the first one, and would show a widget that only that one had given a value, and
        report it, at its least value.
        """
        widget = _widget_key(parameter)
        value = self.values[parameter] if shown is None else shown
        st.session_state[widget] = value
        _state().shown[parameter] = value
        return widget


def open_page(name: str) -> Selection:
    """Start a page: heading, address and widgets read and checked, sidebar, notes."""
    ensure_entry_point()
    page = page_info(name)
    _go_to_restored_view(name)
    values, notes = _read_state(name)
    values["room"], closed = current_room(str(values["room"]))
    # Remembered there, so that whoever leaves does not come back with the next click.
    _state().chosen.pop("room", None)
    notes += [closed] if closed else []
    try:
        info = find_model(str(values["model"]))
    except AnalysisError as refusal:
        values["model"], info = _BY_KEY["model"].default, list_models()[0]
        notes.append(f"{refusal} This is {info.name}.")
    second = _second_model(values, info)
    for key, what, owner, count in (
        ("layer", "layer", info, info.n_layers),
        ("head", "head", info, info.n_heads),
        ("layer2", "layer", second, second.n_layers),
        ("head2", "head", second, second.n_heads),
        ("only", "layer", info, info.n_layers),
        ("within", "layer", info, info.n_layers),
        # Without MLPs the page of neurons says that there are none.
        ("neuron", "neuron", info, info.d_mlp or 1_000_000),
    ):
        if int(values[key]) >= count:
            notes.append(
                f"{owner.name} has no {what} {values[key]} (they run from 0 to {count - 1})."
            )
            values[key] = _default(name, _BY_KEY[key])
            # Not remembered: another page may have another default.
            _state().chosen.pop(key, None)
    for key, purpose in (
        ("ablate", "ablate"),
        ("keep", "keep"),
        ("heads", "take jointly"),
        ("together", "ablate together"),
        ("reader", "follow paths to"),
    ):
        heads = heads_in(str(values[key]))
        known = [h for h in heads if h.layer < info.n_layers and h.head < info.n_heads]
        if missing := [head.label for head in heads if head not in known]:
            notes.append(f"{info.name} has no head {', '.join(missing[:3])} to {purpose}.")
            values[key] = ",".join(head.label for head in known)
    longest = (info.n_ctx - 1) // 2
    if int(values["length"]) > longest:
        notes.append(f"S is at most {longest} for {info.name}.")
        values["length"] = longest
    if values["input"] == "repeated" and int(values["sequence"]) >= int(values["batch"]):
        values["sequence"] = int(values["batch"]) - 1
        notes.append(f"There are {values['batch']} sequences; this draws the last one.")
    selection = Selection(name, MappingProxyType(values), info)
    _write_state(selection)
    bar = st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    )
    bar.title(page.title, width="content")
    with bar.popover("Share", icon=":material/share:", width="content"):
        _state().link_place = st.empty()
        _draw_link(selection)
        _draw_file(name)
    st.caption(linked(page.question))
    for note in notes:
        # Quotes what the link held: shown as text, not as markdown.
        st.container(border=True).text(f"⚠ {note}")
    with st.sidebar:
        _draw_sidebar(selection)
    draw_present(name, _own_view(selection), _go_to_view)
    with st.sidebar:
        follow_theme()
    return selection


def take_view_along() -> None:
    """Keep the view when the menu, which empties the address, leads to another page.

    The address of the view there is set before `st.navigation` names the page. Set after it, the
    browser may have a page in its history that nobody has seen: the one with the empty address,
    to which its back button would lead.
    """
    state, page = _state(), page_on_its_way()
    if page and state.page not in (None, page) and not st.query_params:
        _write_link(link_parameters(page, _chosen_values(page)))


def heads_in(text: str) -> tuple[Head, ...]:
    """The heads that a parameter such as `keep` lists, in order and each once."""
    labels = text.split(",") if text not in ("", NO_HEAD) else []
    return tuple(sorted({Head.parse(label) for label in labels}))


def choose(**values: Value) -> None:
    """Change the selection from a callback, as a widget would (a click on a figure, say)."""
    state = _state()
    state.remarks += _take_changes(values)
    state.touched = True
    _forget_widgets(values)


def newly_chosen() -> bool:
    """Whether `choose` was called since the page began: a part of it that runs by itself is old."""
    return _state().touched


def current_selection() -> Selection:
    """The view of the page that is being drawn, as `open_page` or `moved_to` last had it."""
    selection = _state().selection
    assert selection, "a page begins with open_page"
    return selection


def link_parameters(page: str, values: Mapping[str, Value]) -> dict[str, str]:
    """The query parameters of a view on `page`, defaults and what the page ignores left out.

    A prompt that is too long for a link is left out as well.
    """
    return {
        key: text
        for key, text in _whole_view(page, values).items()
        if key not in _PROMPTS or len(text) <= MAX_LINK_PROMPT
    }


def _whole_view(page: str, values: Mapping[str, Value]) -> dict[str, str]:
    """What differs from the defaults on `page`, whatever its length."""
    view = {}
    for parameter in PARAMETERS:
        value = values.get(parameter.key, _default(page, parameter))
        concerns_page = not parameter.pages or page in parameter.pages
        if concerns_page and value != _default(page, parameter):
            view[parameter.key] = _format(value)
    return view


def parse_link(
    page: str, link: Mapping[str, list[str]], *, from_file: bool = False
) -> tuple[dict[str, Value], list[str]]:
    """Checked values of a link's query parameters, and a sentence for each that was refused.

    A file holds the same, and prompts that are too long for a link.
    """
    values: dict[str, Value] = {}
    notes = []
    for key, texts in link.items():
        parameter = _BY_KEY.get(key)
        if parameter is None:
            continue  # addresses also carry what mail programs and Streamlit append
        try:
            parse = _text(MAX_CHARACTERS) if from_file and key in _PROMPTS else parameter.parse
            values[key] = parse(texts[-1])
        except Refused as refusal:
            shown = display_token(texts[-1][:40])
            default = display_token(_format(_default(page, parameter))[:40])
            # -1 and nothing at all stand for a choice that the page makes.
            instead = "it is left out" if default in ("-1", "") else f"this is {key} {default}"
            notes.append(f"{key} in the link is “{shown}”, {refusal}; {instead}.")
        if len(texts) > 1:
            notes.append(f"{key} stands {len(texts)} times in the link; the last one counts.")
    return values, notes


@dataclass(slots=True)
class _State:
    """What one visitor's session remembers between runs."""

    chosen: dict[str, Value] = field(default_factory=dict)  # what differs from a default, or did
    shown: dict[str, Value] = field(default_factory=dict)  # every value of the last run
    link: dict[str, list[str]] | None = None  # the address as we last wrote it
    page: str | None = None
    touched: bool = False  # `choose` was called since the last run
    selection: Selection | None = None  # the view that is being drawn
    link_place: DeltaGenerator | None = None  # where its link is shown
    uploads: int = 0  # view files opened so far
    restored: str | None = None  # page of a view file that is to be opened now
    remarks: list[str] = field(default_factory=list)  # about that file, for the next run


def _state() -> _State:
    state: _State = st.session_state.setdefault(_STATE, _State())
    return state


def _forget_widgets(keys: Iterable[str]) -> None:
    for key in keys:
        st.session_state.pop(_widget_key(key), None)


def _read_state(page: str) -> tuple[dict[str, Value], list[str]]:
    state = _state()
    notes: list[str] = []
    link = {key: st.query_params.get_all(key) for key in st.query_params}
    changed = {
        key: st.session_state[_widget_key(key)]
        for key, shown in state.shown.items()
        if st.session_state.get(_widget_key(key), shown) != shown
    }
    # On a slow line a second change can arrive with the address of before the first one, so
    # an address counts as new only when no widget has changed: a first visit, a followed link,
    # or the browser's back button.
    new_address = link != state.link and not changed and not state.touched
    if new_address:
        state.chosen, notes = parse_link(page, link)
    else:
        notes = _take_changes(changed)
    if new_address or state.page != page:
        # A widget of another page has the same key and is not the same widget: it would start
        # empty unless its value is set anew.
        _forget_widgets(_BY_KEY)
    state.touched = False
    notes += state.remarks
    state.remarks = []
    return _chosen_values(page), notes


def _take_changes(changed: Mapping[str, Value]) -> list[str]:
    """Take what widgets and clicks report, checked like a link; a sentence for each refused.

    A browser shows what a widget allows, but what it sends is what its visitor makes it send.
    """
    notes = []
    for key, value in changed.items():
        default = _default(_state().page or "", _BY_KEY[key])
        if value == default and type(value) is type(default):
            _state().chosen[key] = value  # such as -1, which a link leaves out
            continue
        try:
            # A prompt that is too long for a link is no mistake; one too long to read is said so
            # where it is read, with the text left in its place.
            parse = _text(sys.maxsize) if key in _PROMPTS else _BY_KEY[key].parse
            _state().chosen[key] = parse(_format(value))
        except Refused as refusal:
            shown = display_token(_format(value)[:40])
            notes.append(f"{key} cannot be “{shown}”, {refusal}; it stays as it was.")
            _forget_widgets([key])
    return notes


def _write_state(selection: Selection) -> None:
    state = _state()
    _write_link(link_parameters(selection.page, selection.values))
    state.chosen.update({key: selection.values[key] for key in state.chosen})
    state.shown = dict(selection.values)
    state.page = selection.page
    state.selection = selection
    publish(selection.page, _own_view(selection))


def _write_link(link: Mapping[str, str]) -> None:
    if link != st.query_params.to_dict():
        st.query_params.from_dict(link)
    _state().link = {key: [text] for key, text in link.items()}


def _own_view(selection: Selection) -> dict[str, str]:
    """The whole view, but not whom its visitor follows: what is handed on to others."""
    return _whole_view(selection.page, {**selection.values, "room": ""})


def _go_to_view(page: str, view: Mapping[str, str]) -> None:
    """Let the next run open a view, checked like a link."""
    state = _state()
    link = {key: [text] for key, text in view.items()}
    state.chosen, state.remarks = parse_link(page, link, from_file=True)
    state.restored, state.touched = page, True
    _forget_widgets(_BY_KEY)


def _draw_link(selection: Selection) -> None:
    """The link of the view; once more when a component has changed the view."""
    place = _state().link_place
    assert place
    with place.container():
        draw_link(
            selection.page,
            link_parameters(selection.page, {**selection.values, "room": ""}),
            _own_view(selection),
        )


def _draw_file(page: str) -> None:
    """Saving the view as a file, and opening one, which replaces the view in the next run."""
    state = _state()
    key = f"{_STATE}.file.{state.uploads}"

    def whole() -> dict[str, str]:
        assert state.selection
        return _own_view(state.selection)

    def restore() -> None:
        if (file := st.session_state.get(key)) is None:
            return
        state.uploads += 1  # the next uploader is empty
        try:
            target, link = read_view_file(file.getvalue())
        except UnreadableView as refusal:
            state.remarks = [str(refusal)]
            return
        state.chosen, state.remarks = parse_link(target, link, from_file=True)
        state.restored, state.touched = target, True
        _forget_widgets(_BY_KEY)

    draw_file(page, whole, key, restore)


def _go_to_restored_view(page: str) -> None:
    """Leave for the page of a view file that has just been opened."""
    state = _state()
    target, state.restored = state.restored, None
    if target and target != page:
        st.switch_page(streamlit_page(target))


def _draw_sidebar(selection: Selection) -> None:
    if selection.page in _WITHOUT_INPUT:
        return
    st.selectbox(
        "Model",
        _picker(selection.info),
        format_func=lambda name: find_model(name).title,
        key=selection.key("model"),
    )
    draw_other_models(lambda name: choose(model=name))
    st.segmented_control(
        "Input",
        ["prompt", "repeated"],
        format_func={"prompt": "Prompt", "repeated": "Repeated tokens"}.__getitem__,
        required=True,
        key=selection.key("input"),
        help="Your own text, or random tokens repeated: only a model that can copy from its "
        "context can predict the second half.",
    )
    if selection["input"] == "prompt":
        st.text_area("Prompt", height=160, key=selection.key("prompt"))
        if selection.info.has_bos:
            st.toggle(
                "BOS token in front",
                key=selection.key("bos"),
                help="The model was trained with it at position 0; heads rest on it.",
            )
        else:
            st.caption("This model has no BOS token, so the prompt begins with its own first.")
        if len(selection["prompt"]) > MAX_LINK_PROMPT:
            st.caption(
                f"This prompt is too long for a link ({len(selection['prompt']):,} characters; "
                f"{MAX_LINK_PROMPT:,} fit), so the link opens without it. Share, beside the "
                "title, saves it in a file."
            )
        return
    longest = min(MAX_HALF, (selection.info.n_ctx - 1) // 2)
    st.slider(
        "S, tokens in each half",
        MIN_HALF,
        longest,
        key=selection.key("length"),
        help="The input is BOS, S random tokens, and the same S tokens again.",
    )
    st.slider("Sequences", 1, MAX_BATCH, key=selection.key("batch"))
    st.number_input("Seed", 0, MAX_SEED, step=1, key=selection.key("seed"))


def _picker(shown: ModelInfo) -> list[str]:
    """The models to choose from, and the checkpoint that is shown, if it is one."""
    names = [info.name for info in available_models()]
    if shown.name not in names:
        finished = finished_model(shown).name
        names.insert(names.index(finished) + 1 if finished in names else 0, shown.name)
    return names


def _second_model(values: Mapping[str, Value], info: ModelInfo) -> ModelInfo:
    """The model that `layer2` and `head2` are about: another one only where two are compared."""
    others = [other for other in available_models() if other.name != info.name]
    if values["by"] != "model" or not others:
        return info
    return next((other for other in others if other.name == values["model2"]), others[0])


def _widget_key(parameter: str) -> str:
    return f"view.{parameter}"


def _chosen_values(page: str) -> dict[str, Value]:
    chosen = _state().chosen
    return {p.key: chosen.get(p.key, _default(page, p)) for p in PARAMETERS}


def _default(page: str, parameter: Parameter) -> Value:
    return _PAGE_DEFAULTS.get((page, parameter.key), parameter.default)


def _format(value: Value) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


_UNKNOWN_PAGES = {name for p in PARAMETERS for name in p.pages} - {page.name for page in PAGES}
assert not _UNKNOWN_PAGES, f"parameters of pages that do not exist: {_UNKNOWN_PAGES}"
