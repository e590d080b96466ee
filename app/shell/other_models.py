"""The models that are not here: what can be downloaded, with its progress, and what cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from analysis.models.catalog import list_models
from analysis.models.info import ModelInfo, machine_memory
from app.compute.downloads import Download
from app.compute.server import current_server
from app.shell.visitors import visitor_name
from app.text import markdown_text

_MB, _GB = 10**6, 10**9


def draw_other_models(open_model: Callable[[str], None]) -> None:
    """A popover with them; `open_model` is called with one that has come."""
    others = [info for info in list_models() if not info.available]
    under_way = _under_way()
    if not others and not under_way:
        return
    with st.popover("Other models", width="stretch"):
        awaited = any(download.active for download in under_way)
        # By itself, so that the page is not drawn anew every second.
        st.fragment(_draw, run_every=1.0 if awaited else None)(open_model, awaited)


def how_to_get(name: str) -> str:
    """In a sentence, how a model comes here that is not; empty for a checkpoint of one that is."""
    model = name.partition("@")[0]
    info = next((info for info in list_models() if info.name == model), None)
    if info is None:
        return (
            "Nothing goes by that name. A folder in Hugging Face's format with safetensors weights "
            "is offered once it lies in the folder that HEADSCOPE_MODELS names."
        )
    if info.available:
        return ""
    if current_server().config.downloads and info.downloadable and info.fits:
        return f"Other models, in the sidebar, downloads it ({info.download_mb:,} MB)."
    return _why(info)


def _under_way() -> list[Download]:
    """Downloads of whole models; those of checkpoints are shown where they are asked for."""
    seen = current_server().downloads.look(visitor_name())
    return [each for each in seen if "@" not in each.name]


def _draw(open_model: Callable[[str], None], awaited: bool) -> None:
    under_way = _under_way()
    if awaited and not any(download.active for download in under_way):
        st.rerun()  # the picker has one more, and nothing is awaited
    others = [info for info in list_models() if not info.available]
    titles = {info.name: markdown_text(info.title) for info in list_models()}
    for download in under_way:
        _draw_download(download, titles[download.name], open_model)
    asked = {download.name for download in under_way if download.active}
    allowed = current_server().config.downloads
    can = [info for info in others if allowed and info.downloadable and info.fits]
    _draw_choice([info for info in can if info.name not in asked])
    if rest := [info for info in others if info not in can]:
        _draw_rest(rest)


def _draw_download(download: Download, title: str, open_model: Callable[[str], None]) -> None:
    name = download.name
    if download.active:
        part = min(download.done / download.total, 1.0) if download.total else 0.0
        size = f"{download.done / _MB:,.0f} of {download.total / _MB:,.0f} MB"
        st.progress(part, f"{title}: {size if download.state == 'running' else 'waits its turn'}")
        st.button(
            "Cancel",
            key=f"cancel {name}",
            on_click=current_server().downloads.leave,
            args=(name, visitor_name()),
        )
    elif download.state == "done":
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"{title} is here.", width="content")
            if st.button("Open it", key=f"open {name}"):
                current_server().downloads.leave(name, visitor_name())
                open_model(name)
                st.rerun()
    else:
        st.text(f"⚠ {download.refusal}")


def _draw_choice(infos: Sequence[ModelInfo]) -> None:
    """One of the models that can be downloaded, and what that takes."""
    if not infos:
        return
    named = {info.name: info for info in infos}
    name = st.selectbox(
        "Can be downloaded",
        named,
        format_func=lambda name: f"{named[name].title}, {named[name].download_mb:,} MB",
    )
    info = named[name]
    st.caption(
        f"{markdown_text(info.source)} on the model hub, licence {markdown_text(info.licence)}. "
        f"{info.n_layers} layers of {info.n_heads} heads; takes about "
        f"{info.memory_bytes / _GB:.1f} GB of this machine's {machine_memory() / _GB:.0f} GB of "
        "memory."
    )
    if st.button("Download", icon=":material/download:"):
        for old in _under_way():
            if not old.active:
                current_server().downloads.leave(old.name, visitor_name())
        current_server().downloads.ask(name, visitor_name())
        st.rerun()  # from now on it is awaited


def _draw_rest(infos: Sequence[ModelInfo]) -> None:
    """Those that only come in other ways, or not at all."""
    st.caption(
        "Not here, and not for download. A folder in Hugging Face's format with safetensors "
        "weights is offered once it lies in the folder that HEADSCOPE_MODELS names."
    )
    st.dataframe(
        [
            {
                "Model": info.title,
                "Memory, GB": info.memory_bytes / _GB or None,
                "Why": _why(info),
            }
            for info in infos
        ],
        hide_index=True,
        column_config={"Memory, GB": st.column_config.NumberColumn(format="%.1f")},
    )


def _why(info: ModelInfo) -> str:
    if info.problem:
        return info.problem
    if not info.fits:
        return f"This machine has {machine_memory() / _GB:.0f} GB of memory."
    if info.gated and not info.downloadable:
        return (
            "The hub asks for an account that has accepted its licence: set HF_TOKEN to a token of "
            "one, or put its folder into HEADSCOPE_MODELS."
        )
    if info.notes:
        return info.notes.replace("`", "")
    return "Downloads are switched off." if info.downloadable else "Not on this machine."
