"""Sets of prompts that come with the app, in our own wording. No torch.

Each is drawn from words that are one token for the model at hand, so that answers are too and rows
have equal lengths where the wording allows.
"""

import random
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.limits import MAX_ROWS, MAX_SEED
from analysis.sets.rows import PromptRow, PromptSet, marked

# How many tokens of the model's a text is.
Count = Callable[[str], int]
ROWS = 32


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A set that is drawn for a model: its name in links, on screen, what it asks, and how."""

    key: str
    title: str
    meaning: str
    # Endless rows, or as many as there are.
    draw: Callable[[Count, random.Random], Iterator[PromptRow]]


def builtin_set(count_tokens: Count, key: str, rows: int = ROWS, seed: int = 0) -> PromptSet:
    """One of the built-in sets, drawn from words that are one token for a model.

    Args:
        count_tokens: How many tokens of the model's a text is: `token_counts` of it.
        key: Which one; `BUILT_IN` has them.
        rows: How many rows at most; where a set has fewer, it gives what it has.
        seed: Of the draws. More rows begin with the same ones.

    Raises:
        AnalysisError: An unknown key, rows or seed out of range, or a tokenizer that splits the
            words that the set is made of.
    """
    if key not in BUILT_IN:
        raise AnalysisError(f"No set is called {key!r}. Choose one of: {', '.join(BUILT_IN)}.")
    if not 1 <= rows <= MAX_ROWS or not 0 <= seed <= MAX_SEED:
        raise AnalysisError(
            f"{rows} rows with seed {seed} were asked for; 1 to {MAX_ROWS:,} rows and seeds from "
            f"0 to {MAX_SEED} are possible."
        )
    drawn = tuple(islice(BUILT_IN[key].draw(count_tokens, random.Random(seed)), rows))
    return PromptSet(key, drawn)


def indirect_object(names: Sequence[str], draw: random.Random) -> Iterator[PromptRow]:
    """`When A and B went to the store, B gave a drink to`: A follows, B is the subject.

    Odd rows name the answer first, even rows the repeated name. The corrupt prompt repeats the
    other name instead, which swaps answer and foil.
    """
    named_first = False
    while True:
        answer, repeated = draw.sample(names, 2)
        first, second = (answer, repeated) if named_first else (repeated, answer)
        begin = f"When {first} and {second} went to the store,"
        yield PromptRow(
            f"{begin} {repeated} gave a drink to",
            corrupt=f"{begin} {answer} gave a drink to",
            answer=answer,
            foil=repeated,
        )
        named_first = not named_first


def _indirect_object(count: Count, draw: random.Random) -> Iterator[PromptRow]:
    return indirect_object(single_names(count), draw)


def single_names(count: Count) -> list[str]:
    """The first names that are one token, in the order of the file."""
    return _single(count, _words()["names"].split(), "first names")


def _repeated_name(count: Count, draw: random.Random) -> Iterator[PromptRow]:
    names, surnames = single_names(count), _words()["surnames"].split()
    surnames = _single(count, surnames, "surnames")
    while True:
        (one, other), (own, others) = draw.sample(names, 2), draw.sample(surnames, 2)
        people = [f"{one} {own}", f"{other} {others}"]
        draw.shuffle(people)
        begin = f"{people[0]} and {people[1]} came to the house. Somebody asked for"
        yield PromptRow(
            f"Today {begin} {one}",
            corrupt=f"Today {begin} {other}",
            answer=own,
            foil=others,
            places=marked({"subject": one, "subject again": f"{one}#2"}),
        )


def _capital_of(count: Count, draw: random.Random) -> Iterator[PromptRow]:
    capitals: dict[str, str] = _words()["capitals"]
    known = [land for land, city in capitals.items() if count(f" {land}") == count(f" {city}") == 1]
    if len(known) < 2:
        raise _too_few("capitals of countries", len(known))
    draw.shuffle(known)
    for place, land in enumerate(known):
        other = known[place - 1]
        yield PromptRow(
            f"The capital of {land} is the city of",
            corrupt=f"The capital of {other} is the city of",
            answer=capitals[land],
            foil=capitals[other],
            places=marked({"subject": land}),
        )


def _greater_than(count: Count, draw: random.Random) -> Iterator[PromptRow]:
    """The end of a war comes after its beginning: by the next digit, or the next two as one."""
    by_digit = count("17") == 2
    if not by_digit and count("58") != 1:
        raise _too_few("numbers of two digits", 0)
    while True:
        century, tens, ones = (
            draw.choice((14, 15, 16, 17, 18)),
            draw.randint(2, 7),
            draw.randint(0, 9),
        )
        later, earlier = draw.randint(tens + 1, 9), draw.randint(0, tens - 1)
        end = "" if by_digit else str(draw.randint(0, 9))
        text = "The war lasted from the year {}{}{} to the year {}"
        yield PromptRow(
            text.format(century, tens, ones, century),
            corrupt=text.format(century, 0, 1, century),
            answer=f"{later}{end}",
            foil=f"{earlier}{end}",
        )


def _successor(count: Count, draw: random.Random) -> Iterator[PromptRow]:
    """Three of an ordered list; the foil is the third once more, which copying would give."""
    rows = []
    for members in single_lists(count):
        rows += [members[i : i + 4] for i in range(len(members) - 3)]
    if not rows:
        raise _too_few("ordered lists", 0)
    draw.shuffle(rows)
    for first, second, third, fourth in rows:
        yield PromptRow(
            f"{first}, {second}, {third},",
            answer=fourth,
            foil=third,
            places=marked({"last": third}),
        )


def single_lists(count: Count) -> list[list[str]]:
    """The ordered lists, each as far as its members are one token without a gap."""
    found = []
    for text in _words()["lists"]:
        run: list[str] = []
        for word in [*text.split(), ""]:
            if word and count(f" {word}") == 1:
                run.append(word)
                continue
            if len(run) > 3:
                found.append(run)
            run = []
    return found


def _brackets(count: Count, draw: random.Random) -> Iterator[PromptRow]:
    """The bracket that was opened last is closed first."""
    things = _single(count, _words()["things"].split(), "words for things")
    kinds = [pair for pair in (("(", ")"), ("[", "]"), ("{", "}")) if count(f" {pair[1]}") == 1]
    if len(kinds) < 2:
        raise _too_few("brackets", len(kinds))
    while True:
        outer, inner = draw.sample(kinds, 2)
        one, two, three = draw.sample(things, 3)
        text = f"{one} {{}} {two} {{}} {three}"
        yield PromptRow(
            text.format(outer[0], inner[0]),
            corrupt=text.format(inner[0], outer[0]),
            answer=f" {inner[1]}",
            foil=f" {outer[1]}",
        )


def _plural(count: Count, draw: random.Random) -> Iterator[PromptRow]:
    """The verb agrees with its subject, whatever stands between them."""
    nouns, near = (
        [pair for pair in _pairs(_words()[name]) if all(count(f" {word}") == 1 for word in pair)]
        for name in ("nouns", "near")
    )
    if not nouns or not near:
        raise _too_few("nouns with a plural", len(nouns))
    number = 0
    while True:
        subject, between = draw.choice(nouns), draw.choice(near)
        verbs = ("is", "are")
        text = f"The {{}} near the {draw.choice(between)}"
        yield PromptRow(
            text.format(subject[number]),
            corrupt=text.format(subject[1 - number]),
            answer=verbs[number],
            foil=verbs[1 - number],
            places=marked({"subject": subject[number]}),
        )
        number = 1 - number


def _single(count: Count, words: Sequence[str], what: str) -> list[str]:
    found = [word for word in words if count(f" {word}") == 1]
    if len(found) < 4:
        raise _too_few(what, len(found))
    return found


def _too_few(what: str, found: int) -> AnalysisError:
    return AnalysisError(
        f"This set is made of {what} that are one token each, and this model's tokenizer has "
        f"{found} of ours. Choose another set, or give rows of your own."
    )


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(one, many) for one, many in (pair.split() for pair in text.split(","))]


@cache
def _words() -> dict[str, Any]:
    with Path(__file__).with_name("words.toml").open("rb") as file:
        return tomllib.load(file)


_ALL = (
    BuiltIn(
        "indirect-object",
        "Indirect object",
        "Two people go somewhere, one of them gives something: to the other.",
        _indirect_object,
    ),
    BuiltIn(
        "repeated-name",
        "Repeated name",
        "A first name comes back: its surname follows.",
        _repeated_name,
    ),
    BuiltIn("capital-of", "Capital of", "A country is named: its capital follows.", _capital_of),
    BuiltIn(
        "greater-than",
        "Greater than",
        "A war begins in one year and ends in a later one.",
        _greater_than,
    ),
    BuiltIn("successor", "Next in a list", "Days, months, numbers, letters in order.", _successor),
    BuiltIn("brackets", "Brackets", "The bracket opened last is closed first.", _brackets),
    BuiltIn("plural", "Plural agreement", "A verb agrees with its subject.", _plural),
)
BUILT_IN: Mapping[str, BuiltIn] = {each.key: each for each in _ALL}
