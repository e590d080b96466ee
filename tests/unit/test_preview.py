"""What a link shows of itself where it is posted."""

import html
import re
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from PIL import Image

from app.compute.shipped import first_view, start_view
from app.links.pages import PAGES, page_info
from app.links.selection import Selection
from app.shell.first_picture import first_picture
from app.shell.preview import FIRST_PICTURES, LinkPreview, preview_tags
from tests.hostile import HOSTILE
from tests.loops import finish

TAG = re.compile(r'<meta property="(og:[a-z_]+)" content="([^"<>]*)">')


def tags_of(page: str, query: str = "") -> dict[str, str]:
    found = preview_tags(page_info(page), query, "Headscope")
    assert TAG.sub("", found) == ""
    return {name: html.unescape(text) for name, text in TAG.findall(found)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_its_title_and_question(page) -> None:  # noqa: ANN001
    tags = tags_of(page.name)
    assert page.title in tags["og:title"] and tags["og:title"].count("Headscope") == 1
    assert tags["og:description"] == page.question
    assert tags["og:description"]


def test_a_head_and_a_model_are_named_and_a_prompt_never() -> None:
    tags = tags_of("head", "layer=1&head=4&model=gelu-4l&prompt=My+secret&clean=other+secret")
    assert tags["og:title"] == "Head · L1H4 · GELU, 4 layers · Headscope"
    assert "secret" not in "".join(tags.values())
    assert tags_of("head", "layer=1")["og:title"] == "Head · Headscope"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_links_name_nothing_of_theirs(text: str) -> None:
    for key in ("layer", "head", "model", "prompt", "room"):
        link = {"layer": "1", "head": "4", key: text}
        title = tags_of("head", urlencode(link, errors="replace"))["og:title"]
        assert title in ("Head · Headscope", "Head · L1H4 · Headscope")
    assert tags_of("head", "&".join(["a=1"] * 5000))["og:title"] == "Head · Headscope"


PAGE = b"<!doctype html><html><head><title>x</title></head><body></body></html>"


def served(path: str, kind: str = "text/html", query: bytes = b"") -> tuple[dict[str, str], bytes]:
    """What the middleware makes of an answer in two parts."""
    sent: list[dict[str, Any]] = []

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(PAGE))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE[:20], "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[20:]})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": []}
    finish(LinkPreview(answer, "Headscope")(scope, None, send))  # type: ignore[arg-type]
    body = b"".join(message.get("body", b"") for message in sent)
    return {k.decode(): v.decode() for k, v in sent[0]["headers"]}, body


@pytest.mark.parametrize("path", ["/", "/head", "/folder/of/a/proxy/head"])
def test_a_page_is_served_with_its_tags_and_its_length(path: str) -> None:
    headers, body = served(path, query=b"layer=1&head=4")
    assert b'<head><meta property="og:title"' in body
    assert TAG.sub("", body.decode()).encode() == PAGE
    assert headers["content-length"] == str(len(body))


def test_other_answers_stay_as_they_are() -> None:
    assert served("/static/app.js")[1] == PAGE
    assert served("/head", "application/json")[1] == PAGE


@pytest.mark.parametrize(("path", "page"), [("/", "start"), ("/attention", "attention")])
def test_a_page_brings_its_first_picture_where_nothing_else_is_asked_for(
    path: str, page: str
) -> None:
    assert b"<body>" + FIRST_PICTURES[page].read_bytes() in served(path)[1]
    for other, query in ((path, b"model=gelu-4l"), ("/head", b""), ("/static/app.js", b"")):
        assert b"first-picture" not in served(other, query=query)[1]


@pytest.mark.parametrize(("view", "tokens"), [(start_view(), 25), (first_view(), 48)])
def test_a_first_picture_is_of_what_comes_with_the_first_model(
    view: Selection, tokens: int
) -> None:
    """It was written by `python -m app.shell.first_picture`; no model is loaded for it."""
    written = FIRST_PICTURES[view.page].read_text(encoding="utf-8")
    assert written == first_picture(view)
    for address in re.findall(r'"(data:[^"]+)"', written):
        with urlopen(address) as png, Image.open(png) as image:  # noqa: S310 - holds all of it
            assert image.size == (8 * tokens + 7, 2 * tokens + 1)
    assert "http" not in written
