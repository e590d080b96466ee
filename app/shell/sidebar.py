"""The sidebar: which model, and on what input it is run."""

import streamlit as st

from analysis.errors import AnalysisError
from analysis.limits import MAX_SEED, MIN_HALF
from analysis.models.catalog import available_models, find_model, finished_model
from analysis.models.info import ModelInfo
from analysis.sets.builtin import BUILT_IN
from analysis.sets.reading import text_of
from app.config import settings
from app.links.fits import longest_half
from app.links.link import left_out
from app.links.pages import page_info
from app.links.parameters import MAX_HALF, MAX_OWN_ROWS, MAX_SET, MIN_SET, OWN_SET
from app.links.selection import Selection
from app.links.session import choose, own_state, widget_key
from app.shell.other_models import draw_other_models


def draw_sidebar(selection: Selection) -> None:
    """The pickers of model and input, as far as the page is about them."""
    page = page_info(selection.page)
    if not page.has_sidebar:
        return
    pick_model(selection)
    if page.asks in ("input", "prompts"):
        _choose_input(selection)
    if selection.over_set:
        _draw_set(selection)
        _draw_bos(selection)
    elif page.asks == "prompts":
        _draw_bos(selection)
    elif page.asks == "input":
        _draw_input(selection)


def pick_model(selection: Selection) -> None:
    """The picker of the model, and the models that are not here."""
    st.selectbox(
        "Model",
        _picker(selection.info),
        format_func=lambda name: find_model(name).title,
        key=widget_key(selection, "model"),
    )
    draw_other_models(lambda name: choose(model=name))


def _choose_input(selection: Selection) -> None:
    page = page_info(selection.page)
    if selection.info.bidirectional:
        return
    if page.asks == "prompts":
        kinds = {"prompt": "Two prompts"}
        about = "Two prompts that are typed on the page"
    else:
        kinds = {"prompt": "Prompt"}
        if selection.info.has_chat:
            kinds["chat"] = "Conversation"
        kinds["repeated"] = "Repeated tokens"
        about = (
            "Your own text, or random tokens repeated: only a model that can copy from its context "
            "can predict the second half"
        )
    if page.over_sets:
        kinds["set"] = "Set of prompts"
        about += "; or many prompts, with the mean over them and how sure it is"
    shown = selection["input"] if selection["input"] in kinds else "prompt"
    st.segmented_control(
        "Input",
        list(kinds),
        format_func=kinds.__getitem__,
        required=True,
        key=widget_key(selection, "input", shown=shown),
        help=f"{about}.",
    )


def _draw_input(selection: Selection) -> None:
    if selection["input"] == "prompt":
        st.text_area("Prompt", height=160, key=widget_key(selection, "prompt"))
        _draw_bos(selection)
        _say_if_left_out(selection, "prompt", "prompt")
        return
    if selection["input"] == "chat":
        _draw_chat(selection)
        return
    longest = min(MAX_HALF, longest_half(selection.info))
    st.slider(
        "Tokens in each half",
        MIN_HALF,
        longest,
        key=widget_key(selection, "length"),
        help="The input is BOS, so many random tokens, and the same ones again; S in formulas.",
    )
    st.slider("Sequences", 1, settings().max_batch, key=widget_key(selection, "batch"))
    st.number_input("Seed", 0, MAX_SEED, step=1, key=widget_key(selection, "seed"))


def _draw_chat(selection: Selection) -> None:
    st.text_area(
        "Conversation",
        height=220,
        key=widget_key(selection, "chat"),
        help="Each turn begins on a line of its own with system:, user: or assistant:. The model's "
        "own chat template makes one text of them. A last turn of the assistant is left open, and "
        "the model goes on with it; else its answer comes next.",
    )
    _say_if_left_out(selection, "chat", "conversation")


def _say_if_left_out(selection: Selection, key: str, what: str) -> None:
    if key in left_out(selection.page, selection.values):
        st.caption(
            f"This {what} is too long for a link ({len(selection[key]):,} characters), so the link "
            "opens without it. Share, beside the title, saves it in a file."
        )


def _draw_bos(selection: Selection) -> None:
    if selection.info.bidirectional:
        st.caption(
            "An encoder's tokenizer frames the text by itself. For a pair of texts put --- on a "
            "line of its own between them."
        )
    elif selection.info.has_bos:
        st.toggle(
            "BOS token in front",
            key=widget_key(selection, "bos"),
            help="The model was trained with it at position 0; heads rest on it.",
        )
    else:
        st.caption("This model has no BOS token, so a prompt begins with its own first.")


def _draw_set(selection: Selection) -> None:
    st.selectbox(
        "Set of prompts",
        [*BUILT_IN, OWN_SET],
        format_func=lambda key: BUILT_IN[key].title if key in BUILT_IN else "Your own rows",
        key=widget_key(selection, "set"),
    )
    if selection["set"] == OWN_SET:
        _draw_own_rows(selection)
    else:
        st.caption(BUILT_IN[selection["set"]].meaning)
        st.slider("Prompts", MIN_SET, MAX_SET, key=widget_key(selection, "rows"))
    st.number_input(
        "Seed",
        0,
        MAX_SEED,
        step=1,
        key=widget_key(selection, "seed"),
        help="Draws the prompts of a set, the random tokens and the random groups of heads.",
    )


def _draw_own_rows(selection: Selection) -> None:
    """Rows that are typed, pasted or uploaded."""
    st.text_area(
        "Rows",
        height=200,
        key=widget_key(selection, "lines"),
        placeholder="prompt,answer,foil\nThe capital of France is, Paris, London",
        help="A prompt on each line; or CSV with a header that names prompt, corrupt, answer, foil "
        "and place:NAME; or JSON lines with these keys.",
    )
    key = f"{OWN_SET}.file.{own_state().uploads}"

    def take() -> None:
        if (file := st.session_state.get(key)) is None:
            return
        own_state().uploads += 1  # the next uploader is empty
        try:
            text = text_of(file.getvalue(), MAX_OWN_ROWS)
        except AnalysisError as refusal:
            own_state().remarks.append(str(refusal))
            return
        choose(set=OWN_SET, lines=text)

    st.file_uploader(
        "Or a file of them", type=["txt", "csv", "tsv", "jsonl"], key=key, on_change=take
    )
    if "lines" in left_out(selection.page, selection.values):
        st.caption(
            "These rows are too long for a link, which names them by their hash alone. Share, "
            "beside the title, saves them in a file."
        )


def _picker(shown: ModelInfo) -> list[str]:
    """The models to choose from, and the checkpoint that is shown, if it is one."""
    names = [info.name for info in available_models()]
    if shown.name not in names:
        finished = finished_model(shown).name
        names.insert(names.index(finished) + 1 if finished in names else 0, shown.name)
    return names
