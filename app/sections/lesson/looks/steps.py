"""The lesson on looks and verdicts as data: heads that look like it, and the head that does it.

Each step says what it asks and what it answers to what was found. No Streamlit in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from analysis.head import Head
from app.sections.lesson.lesson import Step, Verdict
from app.text import chance_text

if TYPE_CHECKING:
    from analysis.roles.results import RoleScores
    from analysis.roles.verdict import GroupTest
    from analysis.roles.verdict import Verdict as RoleVerdict

# From this share of prompts on a task is done on most of them: a guess is right on half.
MOST = 0.7
_WORDS = {"cause": "cause", "interferer": "gain", "correlate": "alike", "null": "alike"}
_EFFECTS = (
    ("cause", "It gets worse, more than without other heads"),
    ("alike", "No more happens than without other heads"),
    ("gain", "It gets better, more than without other heads"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """What one model is asked, and the heads that a learner can choose from.

    Attributes:
        model: The model, by its name.
        prompts: A built-in set.
        task: What its prompts ask, in a sentence or two.
        role: The role that the textbook would look for.
        called: A head of that role, in words.
        looks: What such a head does, in a sentence or two.
        count: How many of the heads that look most like it are judged.
        heads: Labels of heads to choose from: some that look like it, and some that write.
        places: Where a head may look from the end of the prompt: its name, and in words.
    """

    model: str
    prompts: str
    task: str
    role: str
    called: str
    looks: str
    count: int
    heads: tuple[str, ...]
    places: tuple[tuple[str, str], ...]


class Evidence(Protocol):
    """What the steps are checked against; arrays are [layer, head]."""

    @property
    def case(self) -> Case:
        """The model and its task."""

    @property
    def differences(self) -> np.ndarray:
        """Logit difference of every prompt."""

    @property
    def roles(self) -> RoleScores:
        """How much every head looks like each role."""

    @property
    def group(self) -> tuple[Head, ...]:
        """The heads that look most like the role."""

    @property
    def of_group(self) -> RoleVerdict:
        """The verdict on them."""

    @property
    def direct(self) -> np.ndarray:
        """What each head adds directly to the answer."""

    @property
    def writer(self) -> Head:
        """The head that adds most."""

    @property
    def of_writer(self) -> RoleVerdict:
        """The verdict on it."""

    @property
    def attention(self) -> dict[str, np.ndarray]:
        """From the end of the prompt to each place of the case."""


CASES = (
    Case(
        "SmolLM2-135M-Instruct",
        "indirect-object",
        "Two people go somewhere, and one of them gives something away: to the other. The prompts "
        "differ in the names.",
        "name-mover",
        "name mover",
        "From the end of the prompt it looks at the name that is the answer, and it copies what it "
        "looks at. In GPT-2 small such heads do this task (Wang et al. 2022).",
        2,
        ("L23H0", "L23H1", "L23H3", "L25H2", "L29H1"),
        (("answer", "the name that is the answer"), ("subject again", "the name that comes twice")),
    ),
    Case(
        "gelu-4l",
        "repeated-name",
        "Two people are named with their surnames, and the first name of one of them comes back. "
        "What should follow is that surname, and not the other.",
        "induction",
        "induction head",
        "On random tokens that are repeated it looks at the token after the earlier copy of the "
        "present one. Here that is the surname that should come next.",
        1,
        ("L3H0", "L3H1", "L3H3", "L3H5"),
        (("answer", "the surname that is the answer"), ("subject", "the first name before it")),
    ),
)


def _done(answer: str, evidence: Evidence) -> Verdict:
    differences = evidence.differences
    right, rows = int((differences > 0).sum()), len(differences)
    numbers = f"on {right} of {rows} prompts, and the mean difference is {differences.mean():+.2f}"
    truth = "all" if right == rows else "most" if right / rows >= MOST else "half"
    if answer == truth:
        return Verdict(True, f"The answer is ahead {numbers}. There is something to explain.")
    return Verdict(False, f"Count the bars above 0: the answer is ahead {numbers}.")


def _looks(answer: str, evidence: Evidence) -> Verdict:
    screen, called = evidence.roles.screens[evidence.case.role], evidence.case.called
    best, head = _best(evidence.case, screen.values), Head.parse(answer)
    said = f"{answer} has {screen.values[head.layer, head.head]:.2f}"
    chance = f"chance is {chance_text(screen.chance)}"
    if head == best:
        return Verdict(
            True,
            f"{said}, and {chance}. Many would write “{called}” beside it.",
        )
    most = f"{best.label} {screen.values[best.layer, best.head]:.2f}"
    return Verdict(False, f"{said}; {most}, more than any other of these, and {chance}.")


def _of_group(answer: str, evidence: Evidence) -> Verdict:
    found = evidence.of_group
    names = joined(evidence.group)
    if answer == _WORDS[found.word]:
        return Verdict(
            True, f"Without {names} it is {effect_said(found)}. The word is {found.word}."
        )
    return Verdict(
        False,
        f"Not without {names}. To look at the right place is one thing, to be needed for what "
        "comes of it another: would ten random groups of heads be missed less?",
    )


def _writes(answer: str, evidence: Evidence) -> Verdict:
    head, writer = Head.parse(answer), evidence.writer
    said = f"{answer} adds {evidence.direct[head.layer, head.head]:+.2f} logits by itself"
    if head == writer:
        group = ", ".join(
            f"{h.label} {evidence.direct[h.layer, h.head]:+.2f}"
            for h in evidence.group
            if h != writer
        )
        return Verdict(True, f"{said}" + (f"; {group}." if group else "."))
    most = f"{writer.label} {evidence.direct[writer.layer, writer.head]:+.2f}"
    return Verdict(False, f"{said}; {most}. Look for the deepest blue among these.")


def _of_writer(answer: str, evidence: Evidence) -> Verdict:
    found = evidence.of_writer
    if answer == _WORDS[found.word]:
        return Verdict(
            True,
            f"Without {evidence.writer.label} it is {effect_said(found)}. The word is "
            f"{found.word}.",
        )
    return Verdict(
        False,
        f"Not without {evidence.writer.label}. It adds more to the answer than the others do: "
        "would ten random heads be missed as much?",
    )


def _where(answer: str, evidence: Evidence) -> Verdict:
    writer, words = evidence.writer, dict(evidence.case.places)
    at = {name: float(v[writer.layer, writer.head]) for name, v in evidence.attention.items()}
    truth = _option(max(at, key=at.__getitem__))
    numbers = ", ".join(f"{value:.2f} at {words[name]}" for name, value in at.items())
    copies = {
        key: evidence.roles.screens[role].weights
        for key, role in (("raises", "name-mover"), ("lowers", "negative-name-mover"))
    }
    shares = {
        key: float(values[writer.layer, writer.head])
        for key, values in copies.items()
        if values is not None
    }
    does = max(shares, key=shares.__getitem__)
    writes = (
        f"By its weights it {does} what it looks at: for {shares[does]:.0%} of the words here "
        f"the word itself is among the five that it {does} most."
    )
    if answer == truth:
        return Verdict(True, f"{writer.label} has {numbers}. {writes}")
    return Verdict(False, f"{writer.label} has {numbers}. {writes}")


def _covered(answer: str, evidence: Evidence) -> Verdict:
    found, again = evidence.of_group, evidence.of_group.redundancy
    if again is None:
        truth = "same"
        said = "No head adds more to the answer when they are gone, so nothing covers for them."
    else:
        truth = "same" if again.word == found.word else "other"
        said = (
            f"{joined(found.backups)} add more when {joined(evidence.group)} are gone. Without "
            f"those on both sides it is {effect_said(again)}: a {again.word}."
        )
    if answer == truth:
        return Verdict(True, said)
    return Verdict(
        False,
        "Not here. Think of what the heads that add more meanwhile would do to the difference.",
    )


def _sentence(answer: str, evidence: Evidence) -> Verdict:
    if answer == "tested":
        return Verdict(
            True,
            f"That is what was measured: {evidence.of_group.word} for {joined(evidence.group)}, "
            f"{evidence.of_writer.word} for {evidence.writer.label}, on "
            f"{len(evidence.differences)} prompts of one kind. A role is worth its verdict, and a "
            "verdict holds for its prompts.",
        )
    hint = {
        "looks": "What they look like was known before step 3, and step 3 measured something else.",
        "useless": "These prompts are of one kind; elsewhere the same heads may be needed.",
    }[answer]
    return Verdict(False, f"{hint} Which of these sentences did you test?")


def effect_said(found: GroupTest) -> str:
    """An effect with its interval, beside that of the random groups."""
    low, high = found.interval
    return (
        f"{found.effect:+.2f} [{low:.2f}, {high:.2f}], where groups of as many other heads of the "
        f"same layers have {found.random.min():+.2f} to {found.random.max():+.2f}"
    )


def joined(heads: tuple[Head, ...]) -> str:
    """Heads in a sentence."""
    *first, last = [head.label for head in heads]
    return f"{', '.join(first)} and {last}" if first else last


def _option(place: str) -> str:
    """A place as an answer in a link has it, which takes no spaces."""
    return place.split()[0]


def _best(case: Case, values: np.ndarray) -> Head:
    heads = [Head.parse(label) for label in case.heads]
    return max(heads, key=lambda head: float(values[head.layer, head.head]))


def writer_of(case: Case, direct: np.ndarray) -> Head:
    """The head of the case that adds most to the answer."""
    return _best(case, direct)


def steps_of(case: Case) -> tuple[Step[Evidence], ...]:
    """The steps, about one model and its task."""
    called = case.called
    heads = tuple((label, label) for label in case.heads)
    those = "these heads" if case.count > 1 else "this head"
    return (
        Step(
            "A task that can be marked",
            f"{case.task} Each bar is one prompt: the logit of the answer less that of the wrong "
            "one, the foil. Above 0 the model prefers the answer.",
            "On how many prompts does it?",
            "differences",
            (("half", "About half, as a guess would"), ("most", "Most"), ("all", "All of them")),
            _done,
        ),
        Step(
            "Who looks like it?",
            f"The textbook has a head for this: the {called}. {case.looks} The map says how much "
            "each head looks like that; 1 is a head that does nothing else.",
            "Which of these looks most like one?",
            "screen",
            heads,
            _looks,
            pills=True,
        ),
        Step(
            "Predict, then see",
            f"To look like it is not to do it. So {those} will be taken out (zero ablation), and "
            "beside that ten groups of as many other heads of the same layers, drawn at random. "
            "The figure comes when you know.",
            "What happens to the logit difference without "
            + (f"the {case.count} {called}s?" if case.count > 1 else f"that {called}?"),
            "group",
            _EFFECTS,
            _of_group,
        ),
        Step(
            "Ask what is written",
            "Another question to the same prompts: what does each head itself add to the answer, "
            "less what it adds to the foil? That is its direct effect, in logits.",
            "Which of these adds most?",
            "direct",
            heads,
            _writes,
            pills=True,
        ),
        Step(
            "Predict again",
            "A head that writes the answer is not yet needed either: others may write it as well. "
            "The same test, for the head that adds most.",
            "What happens to the logit difference without it?",
            "writer",
            _EFFECTS,
            _of_writer,
        ),
        Step(
            "What does that one look like?",
            "Where does the head that adds most look, from the end of the prompt? The table has "
            "its attention beside that of the heads that looked the part.",
            "Where does it look most?",
            "attention",
            tuple((_option(name), f"At {words}") for name, words in case.places),
            _where,
        ),
        Step(
            "Does something cover for them?",
            "A head can matter and not be missed, because others make up for it. Heads whose "
            "direct effect grows when the first ones are gone are their backups. Now these are "
            "taken out on both sides, and the test is made again.",
            "Does the verdict of step 3 change?",
            "backups",
            (("same", "It stays"), ("other", "It becomes another one")),
            _covered,
        ),
        Step(
            "Say it right",
            "Looks, direct effect and verdict side by side.",
            "Which sentence may stand in a paper?",
            "summary",
            (
                ("looks", f"The {called}s do this task: they look just like it"),
                (
                    "tested",
                    "On these prompts the heads that look most like it had one verdict and the "
                    "head that adds most another, each beside random heads",
                ),
                ("useless", f"The heads that look like {called}s are of no use to this model"),
            ),
            _sentence,
        ),
    )
