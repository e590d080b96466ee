"""Every page with a model whose tokens and names are hostile: each is drawn, and each escaped."""

import json
from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from google.protobuf.message import Message

from analysis.models import catalog
from app.components import chips, circuitsvis
from app.figures import base as figures
from app.frame import frame
from app.links.link import parse_link
from app.links.pages import page_info
from app.links.parameters import PARAMETERS
from app.text import display_token, escape_html, inert_html, markdown_text, plotly_text, short_token
from tests.hostile import MANY
from tests.hostile_models import NAME, PARTS, SEPARATOR, TITLES, write_models
from tests.pages.test_pages import PAGE_NAMES, Open, expect_well, open_at, said

__all__ = ["open_at"]

ENOUGH = 200
# Pages that draw no tokens of the input; names, and what a link holds, they do.
WITHOUT_TOKENS = (
    *(
        "start",
        "learn",
        "glossary",
        "join",
        "findings",
        "finder",
        "mosaic",
        "training",
        "roles",
        "sets",
        "corpus",
        "build",
    ),
)
# What the other pages need to draw at least so many tokens, in prompts that are drawn quickly.
SHORTER, LONGER = (SEPARATOR.join(parts) for parts in (list(PARTS)[:2], list(PARTS)[2:]))
TOKENS = [{"prompt": SHORTER}, {"prompt": LONGER}]
TWICE = [{"prompt": f"{part}{SEPARATOR}{part}"} for part in PARTS]
VIEWS: dict[str, list[dict[str, str]]] = {
    "induction": TWICE,
    "composition": TWICE,
    "circuits": [{"sample": "200", "draw": "0"}, {"sample": "200", "draw": "1"}],
    "long": [{"long": SHORTER}, {"long": LONGER}],
    "patching": [
        {"clean": one, "corrupt": other, "answer": "$x^2$", "foil": "<b>bold</b><br>"}
        for one, other in pairwise(PARTS)
    ],
}
# Of these a browser shows the text as it is; of everything else that it is sent, the markdown.
PLAIN = {
    *("id", "icon", "type", "shortcut", "language", "tag", "theme", "config", "query_string"),
    *("page", "page_script_hash", "deferred_file_id", "format", "default", "value", "raw_value"),
    *("placeholder", "code_text", "data", "columns", "json", "bytes", "alt", "Text.body"),
    *("Selectbox.options", "MultiSelect.options"),
}
ESCAPES = {
    "markdown": markdown_text,
    "html": escape_html,
    "plotly": plotly_text,
    "frame": inert_html,
    "plain": str,
}


def drawn(node: Any) -> Iterator[tuple[str, str]]:
    """Every text below a node of a page, with the kind of place that it is sent to."""
    if isinstance(proto := getattr(node, "proto", None), Message):
        yield from _texts(proto)
    for child in getattr(node, "children", {}).values():
        yield from drawn(child)


def _texts(message: Message) -> Iterator[tuple[str, str]]:
    name = message.DESCRIPTOR.name
    for field, value in message.ListFields():
        place = f"{name}.{field.name}"
        for each in value if field.is_repeated else [value]:
            if isinstance(each, Message):
                yield from _texts(each)
            elif place == "PlotlyChart.spec":
                yield from (("plotly", text) for text in _strings(json.loads(each)))
            elif place == "IFrame.srcdoc":
                # One that ended the script would leave JSON that cannot be read.
                data = each.partition('id="data">')[2].partition("</script")[0]
                yield from (("frame", text) for text in _strings(json.loads(data)))
            elif isinstance(each, bytes):
                yield "plain", each.decode(errors="replace")
            elif isinstance(each, str):
                plain = field.name in PLAIN or place in PLAIN
                sink = "html" if place == "Html.body" else "plain" if plain else "markdown"
                yield sink, each


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def by_sink(part: Any) -> dict[str, str]:
    """What a part of a page sent, by the kind of place; each text once."""
    texts: dict[str, dict[str, None]] = {sink: {} for sink in ESCAPES}
    for sink, text in drawn(part):
        texts[sink][text] = None
    return {sink: "\n".join(each) for sink, each in texts.items()}


def unescaped(sent: dict[str, str]) -> list[tuple[str, str]]:
    """Hostile strings, whole or cut, that stand anywhere as they are and would be read there."""
    return [
        (sink, shown)
        for sink, escape in ESCAPES.items()
        for text in MANY
        for shown in {text, display_token(text), short_token(text)}
        if escape(shown) != shown and shown in sent[sink]
    ]


def arrived(sent: dict[str, str]) -> set[str]:
    """The hostile strings that the page drew to their ends."""
    ways = (*ESCAPES.items(), ("plain", lambda text: json.dumps(text)[1:-1]))
    return {
        text
        for text in MANY
        if any(escape(display_token(text)) in sent[sink] for sink, escape in ways)
    }


@pytest.fixture(scope="module", autouse=True)
def hostile_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(catalog.OWN_MODELS, str(folder))
        catalog.refresh()
        yield
    catalog.refresh()


@pytest.mark.parametrize("name", [name for name in PAGE_NAMES if name not in WITHOUT_TOKENS])
def test_hostile_tokens_reach_a_page_and_are_escaped(open_at: Open, name: str) -> None:
    found = set()
    for view in VIEWS.get(name, TOKENS):
        app = open_at(name, **{"model": NAME, "input": "prompt", "layer": "1", **view})
        expect_well(app)
        sent = by_sink(app.main)
        assert unescaped(sent) == []
        found |= arrived(sent)
    assert len(found) >= ENOUGH


@pytest.mark.parametrize("name", WITHOUT_TOKENS)
def test_hostile_names_and_values_of_links_reach_a_page_and_are_escaped(
    open_at: Open, name: str
) -> None:
    keys = [parameter.key for parameter in PARAMETERS if parameter.key != "model"]
    for start in range(0, len(MANY), len(keys)):
        link = dict(zip(keys, MANY[start:], strict=False))
        app = open_at(name, model=NAME, **link)
        expect_well(app)
        sent = by_sink(app._tree)
        assert unescaped(sent) == []
        notes = parse_link(name, {key: [value] for key, value in link.items()})[1]
        assert {f"⚠ {note}" for note in notes} <= set(said(app))
    if page_info(name).asks != "nothing":  # where no model is chosen
        assert sum(title in sent["plain"] for title in TITLES) >= ENOUGH
    if name == "mosaic":
        assert sum(markdown_text(title) in sent["markdown"] for title in TITLES) >= ENOUGH


@pytest.mark.parametrize(
    ("sink", "module", "escape", "page"),
    [
        ("html", chips, "escape_html", "tokens"),
        ("plotly", figures, "plotly_text", "attribution"),
        ("markdown", frame, "markdown_text", "attribution"),
        ("frame", circuitsvis, "inert_html", "neurons"),
    ],
)
def test_an_escape_that_is_taken_away_is_noticed(
    open_at: Open, sink: str, module: ModuleType, escape: str, page: str
) -> None:
    with patch.object(module, escape, str):
        app = open_at(page, model=NAME, input="prompt", prompt=SHORTER)
    assert sink in {found for found, _ in unescaped(by_sink(app.main))}
