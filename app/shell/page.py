"""What every page begins with: its view, heading, Share, sidebar and notes."""

import re
from collections.abc import Mapping
from types import MappingProxyType

import streamlit as st

from analysis.errors import AnalysisError
from analysis.models.catalog import available_models, find_model, list_models
from analysis.models.info import ModelInfo
from analysis.models.reasons import encoder_reason
from app.glossary import linked
from app.links.link import link_parameters, parse_link
from app.links.pages import page_info
from app.links.parameters import BY_KEY, PARAMETERS
from app.links.parsers import Value
from app.links.selection import Selection, second_model
from app.links.session import (
    STATE,
    choose,
    forget_widgets,
    moved,
    own_state,
    own_view,
    read_session,
    write_session,
)
from app.shell.come_back import draw_again_elsewhere
from app.shell.follow import current_room
from app.shell.kept import draw_keeper
from app.shell.navigation import ensure_entry_point, go_on_leaving, plan_to_leave
from app.shell.other_models import how_to_get
from app.shell.present import draw_code, draw_present, draw_room, publish
from app.shell.share import UnreadableView, draw_file, draw_link, read_view_file
from app.shell.sidebar import draw_sidebar
from app.shell.theme import follow_theme
from app.shell.uploads import forget_upload
from app.shell.words import explain_words
from app.text import display_text, markdown_text

_LONGEST_NAME = 100
# What can be the name of a model's folder, or of a checkpoint of it.
_NAME = re.compile(rf"[A-Za-z0-9][\w.@-]{{0,{_LONGEST_NAME}}}", re.ASCII)


def open_page(name: str) -> Selection:
    """Start a page: heading, address and widgets read and checked, sidebar, notes."""
    ensure_entry_point()
    page = page_info(name)
    go_on_leaving(name)
    values, notes = read_session(name)
    values["room"], closed = current_room(str(values["room"]))
    # Remembered there, so that whoever leaves does not come back with the next click.
    own_state().chosen.pop("room", None)
    notes += [closed] if closed else []
    info, said = _model_or_first(str(values["model"]))
    if info.bidirectional and page.asks == "nothing" and not page.encoders:
        info, said = _first_decoder(info, page.title)
    values["model"] = info.name
    notes += [said] if said else []
    notes += [*_one_input(name, values, info), *_fit(name, values, info)]
    selection = Selection(name, MappingProxyType(values), info)
    _settle(selection)
    # Always there: an element before the menu that comes or goes would shut it.
    with st.container(key="room-place"):
        draw_room(name, own_view(selection), go_to_view)
    with st.container():
        draw_code()
    head = st.container(key="page-head")
    bar = head.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    )
    bar.title(page.title, width="content")
    tools = bar.container(horizontal=True, width="content")
    with tools.popover("Share", icon=":material/share:", width="content"):
        own_state().link_place = st.empty()
        _draw_view_link(selection)
        _draw_file(name)
    head.caption(linked(page.question))
    for note in notes:
        # Quotes what the link held: shown as text, not as markdown.
        st.container(border=True).text(f"⚠ {note}")
    with st.container():  # in every run, so that what follows keeps its place
        _offer_repeated(selection)
    aside, menu = (st.sidebar, st.sidebar) if page.has_sidebar else (st.container(), tools)
    with st.sidebar:
        draw_sidebar(selection)
    draw_present(name, own_view(selection), go_to_view, menu)
    with aside:
        follow_theme()
        draw_again_elsewhere()
        explain_words(selection)
        draw_keeper(name)
    if selection.info.bidirectional and not page.encoders:
        st.info(markdown_text(encoder_reason(selection.info, page.title)))
        st.stop()
    return selection


def _model_or_first(asked: str) -> tuple[ModelInfo, str]:
    """The model that a link asks for, or the first one and a sentence: the link keeps the name."""
    try:
        found = find_model(asked)
    except AnalysisError as refusal:
        own_state().missing = asked if _NAME.fullmatch(asked) else ""
        shown = list_models()[0]
        named = display_text(asked[:_LONGEST_NAME])
        how = how_to_get(asked) or refusal
        return shown, f"The model “{named}” of the link is not here. {how} This is {shown.title}."
    own_state().missing = ""
    return found, ""


def _first_decoder(encoder: ModelInfo, page: str) -> tuple[ModelInfo, str]:
    """Another model where a page that has no picker is opened with an encoder, and a sentence."""
    shown = next((info for info in available_models() if not info.bidirectional), encoder)
    return shown, f"{encoder_reason(encoder, page)} This is {shown.title}."


def _offer_repeated(selection: Selection) -> None:
    """One step from a prompt to repeated tokens, on pages whose question is best asked of them."""
    why = page_info(selection.page).repeated
    two_prompts = selection.page == "compare" and selection["by"] == "prompt"
    here = selection["input"] in ("prompt", "chat") and not selection.info.bidirectional
    if not why or not here or two_prompts:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(linked(why), width="content")
        st.button("See it on repeated tokens", on_click=choose, kwargs={"input": "repeated"})


def _one_input(name: str, values: dict[str, Value], info: ModelInfo) -> list[str]:
    """Another input in the place of one that is not to be had here, and a sentence that says so.

    That is a set where nothing has a mean over it, and a conversation where the model has no chat
    template. It stays chosen for pages and models that have one.
    """
    page = page_info(name)
    if info.bidirectional:
        asked, values["input"] = values["input"], "prompt"
        if asked in ("prompt", BY_KEY["input"].default_on(name)) or page.asks != "input":
            return []
        return [f"{info.title} is an encoder, which is run on a prompt, so this is about one."]
    possible = {"set": page.over_sets, "chat": page.asks == "input" and info.has_chat}
    if possible.get(str(values["input"]), True):
        return []
    missing = f"{info.title} has no chat template" if values["input"] == "chat" else ""
    values["input"] = BY_KEY["input"].default_on(name)
    if page.asks != "input":
        return []
    shown = "repeated tokens" if values["input"] == "repeated" else "a prompt"
    missing = missing or f"{page.title} has no mean over a set of prompts"
    return [f"{missing}, so this is about {shown}."]


def _fit(page: str, values: dict[str, Value], info: ModelInfo) -> list[str]:
    """Let the values fit the model and each other; a sentence for each that did not."""
    second, notes = second_model(values, info), []
    for parameter in PARAMETERS:
        if parameter.fits is None:
            continue
        key, value = parameter.key, values[parameter.key]
        fitting, said = parameter.fits.fit(value, values, info, second)
        if fitting is None and value is not None:
            fitting = parameter.default_on(page, info.name)
            # Not remembered: another page may have another default.
            own_state().chosen.pop(key, None)
        values[key] = fitting
        notes += [said] if said else []
    return notes


def move_view(selection: Selection, **values: Value) -> Selection:
    """This view with other values, which are in the link from now on.

    For what a component reports in the middle of a run; the widgets of these parameters must
    not have been drawn yet.
    """
    if all(selection.values[key] == value for key, value in values.items()):
        return selection
    other = moved(selection, **values)
    _settle(other)
    _draw_view_link(other)
    return other


def _settle(selection: Selection) -> None:
    """Write the view's address and show it in the visitor's room."""
    write_session(selection)
    publish(selection.page, own_view(selection))


def go_to_view(page: str, view: Mapping[str, str]) -> None:
    """Let the next run open a view."""
    _open_next(page, {key: [text] for key, text in view.items()})


def _open_next(page: str, link: Mapping[str, list[str]]) -> None:
    """Let the next run open what a file or a room says, checked like a link."""
    state = own_state()
    state.chosen, state.remarks = parse_link(page, link, from_file=True)
    plan_to_leave(page, {})  # what it holds is remembered, and in no address yet
    state.touched = True
    forget_widgets(BY_KEY)


def _draw_view_link(selection: Selection) -> None:
    """The link of the view; once more when a component has changed the view."""
    place = own_state().link_place
    assert place
    with place.container():
        draw_link(
            selection.page,
            link_parameters(selection.page, {**selection.values, "room": ""}),
            own_view(selection),
        )


def _draw_file(page: str) -> None:
    """Saving the view as a file, and opening one, which replaces the view in the next run."""
    state = own_state()
    key = f"{STATE}.file.{state.uploads}"

    def whole() -> dict[str, str]:
        assert state.selection
        return own_view(state.selection)

    def restore() -> None:
        if (file := st.session_state.get(key)) is None:
            return
        state.uploads += 1  # the next uploader is empty
        data = file.getvalue()
        forget_upload(file)
        try:
            target, link = read_view_file(data)
        except UnreadableView as refusal:
            state.remarks = [str(refusal)]
            return
        _open_next(target, link)

    draw_file(page, whole, key, restore)
