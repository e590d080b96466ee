"""What values of a link are read by: each takes text, and refuses what is not allowed."""

import re
from collections.abc import Callable

from analysis.effects.circuit import circuits_text, parse_circuit, parse_circuits
from analysis.effects.recipe import parse_recipe, recipe_text
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.catalog import list_models

# None: not chosen, the page picks.
Value = str | int | float | bool | None
# Of a list of heads that the page picks where it is empty: none at all.
NO_HEAD = "none"
# The same of a recipe.
NO_STEP = "none"
MAX_RECIPE = 800
# Characters of a finding in a link; servers and proxies refuse an address of 8 kB.
MAX_PACKED = 4_000
# Characters of one circuit: 40 heads and 40 edges of a model of some thirty layers.
MAX_CIRCUIT = 1000
ALL_FAMILIES = "all"


class Refused(ValueError):
    """A value that is not allowed; the message completes "`<value>` is ..."."""


def choice(*options: str) -> Callable[[str], str]:
    """One of `options`."""

    def parse(text: str) -> str:
        if text not in options:
            raise Refused(f"not one of {', '.join(options)}")
        return text

    return parse


def name_of(what: str, *names: str) -> Callable[[str], str]:
    """One of so many names that a sentence cannot list them."""

    def parse(text: str) -> str:
        if text not in names:
            raise Refused(f"no {what} that is known here")
        return text

    return parse


def content_hash(text: str) -> str:
    """What stands for the rows of a set: 16 hexadecimal digits."""
    if not re.fullmatch(r"[0-9a-f]{16}", text):
        raise Refused("not 16 digits from 0 to f")
    return text


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        # ASCII digits only: int() would also read other scripts, underscores and spaces.
        if not re.fullmatch(r"-?[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise Refused(f"not a whole number from {low} to {high}")
        return int(text)

    return parse


def decimal_number(low: float, high: float) -> Callable[[str], float]:
    """A number within bounds."""
    sign = "-?" if low < 0 else ""

    def parse(text: str) -> float:
        number = sign + r"[0-9]{1,4}(\.[0-9]{1,6})?"
        if not re.fullmatch(number, text) or not low <= float(text) <= high:
            raise Refused(f"not a number from {low:g} to {high:g}")
        return float(text)

    return parse


def switch(text: str) -> bool:
    """1 or 0."""
    if text not in ("0", "1"):
        raise Refused("neither 0 nor 1")
    return text == "1"


def head_list(most: int) -> Callable[[str], str]:
    """At most so many heads, such as L0H1,L1H3."""

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


def head_list_or_none(most: int) -> Callable[[str], str]:
    """The same, or the word for none of them."""
    heads = head_list(most)
    return lambda text: text if text == NO_HEAD else heads(text)


def recipe_or_none(text: str) -> str:
    """Steps of a recipe, or the word for none of them."""
    if text == NO_STEP:
        return text
    if len(text) > MAX_RECIPE:
        raise Refused(f"longer than {MAX_RECIPE} characters")
    try:
        return recipe_text(parse_recipe(text))
    except AnalysisError:
        raise Refused("not a recipe such as L0H1x0_L1H4q5k2") from None


def circuit_or_none(text: str) -> str:
    """A circuit, or the word for none of its heads."""
    if text == NO_HEAD:
        return text
    if len(text) > MAX_CIRCUIT:
        raise Refused(f"longer than {MAX_CIRCUIT:,} characters")
    try:
        return parse_circuit(text).text
    except AnalysisError:
        raise Refused("not a circuit such as L0H1,L1H4 or L0H1,L1H4_L0H1-L1K4") from None


def circuit_list(text: str) -> str:
    """Several circuits."""
    if len(text) > 2 * MAX_CIRCUIT:
        raise Refused(f"longer than {2 * MAX_CIRCUIT:,} characters")
    try:
        return circuits_text(parse_circuits(text))
    except AnalysisError:
        raise Refused("not a list of a few circuits such as L0H1,L1H4;L0H2,L1H4") from None


def position_list(most: int) -> Callable[[str], str]:
    """At most so many positions, such as 3,7."""

    def parse(text: str) -> str:
        if not re.fullmatch(r"([0-9]{1,5}(,[0-9]{1,5})*)?", text) or text.count(",") >= most:
            raise Refused(f"not a list of at most {most} positions such as 3,7")
        return text

    return parse


def answer_list(text: str) -> str:
    """Answers to the lesson."""
    if not re.fullmatch(r"[A-Za-z0-9]{0,8}(,[A-Za-z0-9]{0,8}){0,7}", text):
        raise Refused("not a list of at most 8 answers such as second,L1H2")
    return text


def family_name(text: str) -> str:
    """A family of models that are here, or all."""
    # Looked up each time: models come and go while the server runs.
    if text != ALL_FAMILIES and text not in {info.family for info in list_models()}:
        raise Refused("no family of models")
    return text


def room_code(text: str) -> str:
    """The code of a room."""
    if text and not is_code(text):
        raise Refused("not the code of a room")
    return text


def packed_text(text: str) -> str:
    """What may be a packed finding, which its page reads."""
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{0,{MAX_PACKED}}}", text):
        raise Refused(f"not at most {MAX_PACKED:,} letters and digits")
    return text


def text_up_to(longest: int) -> Callable[[str], str]:
    """Any text of at most so many characters."""

    def parse(text: str) -> str:
        if len(text) > longest:
            raise Refused(f"longer than {longest:,} characters")
        return text

    return parse


def heads_in(text: str | None) -> tuple[Head, ...]:
    """The heads that a parameter such as `keep` lists, in order and each once."""
    labels = text.split(",") if text and text != NO_HEAD else []
    return tuple(sorted({Head.parse(label) for label in labels}))


_CODE = re.compile(r"[A-Za-z0-9_-]{16}")


def is_code(text: str) -> bool:
    """Whether `text` could be the code of a room."""
    return bool(_CODE.fullmatch(text))
