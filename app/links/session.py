"""What one visitor's session remembers of the view, and the address bar.

A page calls `app.shell.page.open_page`, which reads the address and the widgets here, refuses what
is out of range with one sentence, writes the address back with defaults left out, and returns the
frozen `Selection`. Widgets on a page take their key from `widget_key`, so a changed widget is in
the selection and in the link at the start of the next run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.common import user_key_from_element_id
from streamlit.runtime.state.session_state import Serialized

from analysis.limits import MAX_CHARACTERS
from app.links.link import link_parameters, parse_link, whole_link, whole_view
from app.links.parameters import BY_KEY, PARAMETERS, PROMPTS, TYPED
from app.links.parsers import Refused, Value, text_up_to
from app.links.selection import Selection
from app.text import display_text

STATE = "headscope.selection"
# Characters of a prompt that is too long to read and stays for its writer to shorten.
MAX_KEPT = 5 * MAX_CHARACTERS


def choose(**values: Value) -> None:
    """Change the selection from a callback, as a widget would (a click on a figure, say)."""
    state = own_state()
    state.remarks += _take_changes(values)
    state.touched = True
    forget_widgets(values)


def newly_chosen() -> bool:
    """Whether `choose` was called since the page began: a part of it that runs by itself is old."""
    return own_state().touched


@dataclass(frozen=True)
class Leaving:
    """On the way from one page, None in a session's first run, to another and its link."""

    origin: str | None
    target: str
    link: Mapping[str, str]


@dataclass(slots=True)
class _State:
    """What one visitor's session remembers between runs."""

    chosen: dict[str, Value] = field(default_factory=dict)  # what differs from a default, or did
    shown: dict[str, Value] = field(default_factory=dict)  # every value of the last run
    # What each widget was last given, also by a run before: one may end ahead of its widgets.
    drawn: dict[str, Value] = field(default_factory=dict)
    link: dict[str, list[str]] | None = None  # the address as we last wrote it
    reported: set[str] = field(default_factory=set)  # what widgets have changed with this run
    page: str | None = None
    opened: bool = False  # that page was another one before, and its picture has not been shown yet
    framed: bool = False  # another site shows the app and is told its address
    touched: bool = False  # `choose` was called since the last run
    selection: Selection | None = None  # the view that is being drawn
    link_place: DeltaGenerator | None = None  # where its link is shown
    uploads: int = 0  # view files opened so far
    leaving: Leaving | None = None
    remarks: list[str] = field(default_factory=list)  # about that file, for the next run
    missing: str = ""  # a model that the link asks for and that is not here: the link keeps it


def own_state() -> _State:
    """What this visitor's session remembers of the view."""
    state: _State = st.session_state.setdefault(STATE, _State())
    return state


def forget_widgets(keys: Iterable[str]) -> None:
    """Let widgets of these parameters take their value from the selection."""
    state = own_state()
    for key in keys:
        st.session_state.pop(widget_name(key), None)
        state.drawn.pop(key, None)


def read_session(page: str) -> tuple[dict[str, Value], list[str]]:
    """The values of the view, from a new address or from what has been changed, and notes."""
    state = own_state()
    notes: list[str] = []
    link = {key: st.query_params.get_all(key) for key in st.query_params}
    given = {**state.shown, **state.drawn}
    changed = {
        key: st.session_state[widget_name(key)]
        for key, value in given.items()
        if st.session_state.get(widget_name(key), value) != value
    }
    # On a slow line a second change can arrive with the address of before the first one, so
    # an address counts as new only when no widget has changed: a first visit, a followed link,
    # or the browser's back button.
    new_address = link != state.link and not changed and not state.touched
    if new_address:
        # What a link in a frame leaves out.
        typed = {key: state.chosen[key] for key in TYPED & state.chosen.keys() if state.framed}
        chosen, notes = parse_link(page, link)
        state.chosen = {**typed, **chosen}
    else:
        notes = _take_changes(changed)
    state.reported = set() if new_address else set(changed)
    if new_address or state.page != page or "input" in changed:
        # A widget of another page, or of sections for another input, has the same key and is not
        # the same widget: it would start empty unless its value is set anew, and one that is not
        # drawn any more would count as changed.
        forget_widgets(BY_KEY)
    if state.page is None:
        now = chosen_values(page)
        still = {key: text for key, text in _still_shown().items() if text != now[key]}
        if still:
            state.page = page
            notes += _take_changes(still)
    _hold_on_to_prompt(page)
    state.touched = False
    notes += state.remarks
    state.remarks = []
    return chosen_values(page), notes


def _still_shown() -> dict[str, Value]:
    """What a browser has in the fields for texts as a session begins, by parameter.

    A new one has nothing. One whose session is gone, as after a restart of the server, sends what
    stands in its fields with the next change: what was typed is not lost with the session.
    Streamlit reads none of it before the fields are drawn, and then it would be overwritten.
    """
    context = get_script_run_ctx()
    assert context, "asked outside of a run"
    sent = context.session_state._state._new_widget_state.states
    fields = {widget_name(key): key for key in TYPED}
    found: dict[str, Value] = {}
    for identity, state in sent.items():
        key = fields.get(user_key_from_element_id(identity) or "")
        if key and isinstance(state, Serialized) and state.value.HasField("string_value"):
            found[key] = state.value.string_value
    return found


def _take_changes(changed: Mapping[str, Value]) -> list[str]:
    """Take what widgets and clicks report, checked like a link; a sentence for each refused.

    A browser shows what a widget allows, but what it sends is what its visitor makes it send.
    """
    notes = []
    chosen, page = own_state().chosen, own_state().page or ""
    for key, value in changed.items():
        parameter = BY_KEY[key]
        if value is None and parameter.default_on(page) is None:
            chosen.pop(key, None)
            continue
        try:
            # A prompt that is too long for a link is no mistake; one too long to read is said so
            # where it is read, with the text left in its place, unless it takes too much memory.
            read = text_up_to(MAX_KEPT) if key in PROMPTS else parameter.read
            chosen[key] = read(parameter.text(value))
        except Refused as refusal:
            shown = display_text(parameter.text(value)[:40])
            notes.append(f"{parameter.said}: “{shown}” is {refusal}; it stays as it was.")
            forget_widgets([key])
    _hold_on_to_prompt(page)
    return notes


def _hold_on_to_prompt(page: str) -> None:
    """A prompt of the visitor's own stays the input, on pages that begin with another one too."""
    chosen = own_state().chosen
    if "prompt" in chosen and chosen_values(page)["input"] == "prompt":
        chosen["input"] = "prompt"


def write_session(selection: Selection) -> None:
    """Remember a view, and write its address."""
    state = own_state()
    asked = {**selection.values, "model": state.missing or selection.values["model"]}
    write_link(own_link(selection.page, asked))
    state.chosen.update({key: asked[key] for key in state.chosen if not _kept(key)})
    state.shown = dict(selection.values)
    state.opened |= state.page != selection.page
    state.page = selection.page
    state.selection = selection


def _kept(key: str) -> bool:
    """Whether a choice outlasts pages that show something else, such as a set without a mean."""
    return key == "input" and own_state().chosen[key] in ("set", "chat")


def moved(selection: Selection, **values: Value) -> Selection:
    """A view with other values, remembered as if its visitor had chosen them."""
    own_state().chosen.update(values)
    forget_widgets(values)
    other = MappingProxyType({**selection.values, **values})
    return Selection(selection.page, other, selection.info)


def widget_key(selection: Selection, parameter: str, shown: Value | None = None) -> str:
    """The widget key that ties a widget to a parameter; its current value is set under it.

    `shown` is what the widget shows for a stored value that it cannot show, such as the last
    position for none; the stored value stays until the visitor moves the widget.

    Set in every run, not only where it differs: a browser that is slower than two runs never
    draws the first one, and would show a widget that only that one had given a value, and
    report it, at its least value. But for what the browser has just reported: told so, it would
    take back what has been typed since.
    """
    state, widget = own_state(), widget_name(parameter)
    value = selection.values[parameter] if shown is None else shown
    if parameter not in state.reported or st.session_state.get(widget) != value:
        st.session_state[widget] = value
    state.drawn[parameter] = value
    return widget


def own_link(page: str, values: Mapping[str, Value]) -> dict[str, str]:
    """The query parameters of a view as this visitor's address holds them.

    Streamlit tells whoever frames the app each new address: there it holds nothing that was typed,
    which stays in the session.
    """
    return link_parameters(page, _told(values))


def link_from_here(page: str, values: Mapping[str, Value]) -> dict[str, str]:
    """The same of a link to another page, which becomes the address: never none."""
    return whole_link(page, _told(values))


def _told(values: Mapping[str, Value]) -> dict[str, Value]:
    """What whoever frames the app may know of a view; all of it where nobody does."""
    typed = TYPED if own_state().framed else ()
    return {key: value for key, value in values.items() if key not in typed}


def write_link(link: Mapping[str, str]) -> None:
    """Put a view into the address bar."""
    if link != st.query_params.to_dict():
        st.query_params.from_dict(link)
    own_state().link = {key: [text] for key, text in link.items()}


def own_view(selection: Selection) -> dict[str, str]:
    """The whole view, but not whom its visitor follows: what is handed on to others."""
    return whole_view(selection.page, {**selection.values, "room": ""})


def widget_name(parameter: str) -> str:
    """The key of a parameter's widget."""
    return f"view.{parameter}"


def chosen_values(page: str) -> dict[str, Value]:
    """Every value on a page: as chosen, or its default."""
    chosen = own_state().chosen
    model = chosen.get("model")
    return {p.key: chosen.get(p.key, p.default_on(page, model)) for p in PARAMETERS}
