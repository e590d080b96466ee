"""Finished views that open from the start page with one click."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.links.parsers import Value


@dataclass(frozen=True, slots=True)
class Preset:
    """A view: the page it opens, its parameters, and what to look for there."""

    title: str
    notice: str
    page: str
    values: Mapping[str, Value]


PRESETS = (
    Preset(
        "A story",
        "Watch heads at work on ordinary text: one looks at the token before, others rest on the "
        "first token.",
        "attention",
        {},
    ),
    Preset(
        "A name that comes back",
        "The second time an unusual name starts, the model knows how it goes on. See which tokens "
        "it gets right.",
        "tokens",
        {
            "prompt": "Mr. Zebulon Quixworthy rode into the town. The people of the town had never "
            "heard of Mr. Zebulon Quixworthy, but soon they all spoke of Mr. Zebulon Quixworthy."
        },
    ),
    Preset(
        "Random tokens, twice",
        "No meaning at all, and yet the second half is predicted almost perfectly. Find the heads "
        "that do it.",
        "induction",
        {"input": "repeated", "layer": 1},
    ),
    Preset(
        "The GPT-2 abstract",
        "The sentence that the course looks at, head by head: what does each one add to the next "
        "token?",
        "attribution",
        {
            "prompt": "Natural language processing tasks, such as question answering, machine "
            "translation, reading comprehension, and summarization, are typically approached with "
            "supervised learning on taskspecific datasets."
        },
    ),
)
