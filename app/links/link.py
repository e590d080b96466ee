"""A view as an address holds it: written with its defaults left out, and read with checks."""

from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import quote_plus, urlencode

from analysis.errors import AnalysisError
from analysis.sets.reading import read_set
from analysis.sets.rows import PromptSet
from app.links.parameters import (
    BY_KEY,
    MAX_LINK_BYTES,
    MAX_LINK_PROMPT,
    OWN_SET,
    PARAMETERS,
    PROMPTS,
)
from app.links.parsers import Refused, Value, text_up_to
from app.text import display_text, display_token


def link_parameters(page: str, values: Mapping[str, Value]) -> dict[str, str]:
    """The query parameters of a view on `page`, defaults and what the page ignores left out.

    Prompts that are too long for a link are left out as well, the longest first.
    """
    whole = whole_view(page, values)
    view = dict(whole)
    prompts = sorted(PROMPTS.keys() & view.keys(), key=lambda key: len(quote_plus(view[key])))
    while prompts and (
        len(view[prompts[-1]]) > MAX_LINK_PROMPT or len(urlencode(view)) > MAX_LINK_BYTES
    ):
        del view[prompts.pop()]
    if "lines" in whole:
        view.pop("hash", None)
        if values.get("set") == OWN_SET and "lines" not in view:
            # Rows that cannot be read stand for nothing: their page says so.
            with suppress(AnalysisError):
                view["hash"] = own_set(whole["lines"]).hash
    return view


def own_set(lines: str) -> PromptSet:
    """Rows of a person's own as a set.

    Raises:
        AnalysisError: No row can be read.
    """
    return read_set(lines, "your own rows")


def whole_link(page: str, values: Mapping[str, Value]) -> dict[str, str]:
    """The query parameters of a link from one page to another: never none.

    The menu's links hold nothing, and stand for the view as it is. A link whose values are all
    defaults names the model, so that it opens just these.
    """
    view = link_parameters(page, values)
    return view or {"model": BY_KEY["model"].text(BY_KEY["model"].default_on(page))}


def left_out(page: str, values: Mapping[str, Value]) -> set[str]:
    """The prompts of a view that are too long for its link."""
    return whole_view(page, values).keys() - link_parameters(page, values).keys()


def whole_view(page: str, values: Mapping[str, Value]) -> dict[str, str]:
    """What differs from the defaults on `page`, whatever its length."""
    view = {}
    for parameter in PARAMETERS:
        default = parameter.default_on(page, values.get("model"))
        value = values.get(parameter.key, default)
        if not parameter.concerns(page) or value == default:
            continue
        # Where no text stands for it, what is not chosen is what the page begins with.
        if value is not None or parameter.unset is not None:
            view[parameter.key] = parameter.text(value)
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
        parameter = BY_KEY.get(key)
        if parameter is None:
            # Addresses also carry what mail programs and Streamlit append.
            if key.lower() in BY_KEY:
                notes.append(
                    f"{display_token(key)} in the link is not read; write {key.lower()} in small "
                    "letters."
                )
            continue
        try:
            long = from_file and key in PROMPTS
            values[key] = (text_up_to(PROMPTS[key]) if long else parameter.read)(texts[-1])
        except Refused as refusal:
            shown = display_text(texts[-1][:40])
            default = parameter.default_on(page, link.get("model", [None])[-1])
            instead = "it is left out"
            if default not in (None, ""):
                instead = f"this is {display_text(parameter.text(default)[:40])}"
            notes.append(f"{parameter.said}: “{shown}” in the link is {refusal}; {instead}.")
        if len(texts) > 1:
            notes.append(
                f"{parameter.said}: it stands {len(texts)} times in the link; the last counts."
            )
    return values, notes
