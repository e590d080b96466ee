"""The lesson on an induction head as data: what its steps say, ask, and answer to it.

No Streamlit in here. The same steps lead through every model of `SETTINGS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analysis.head import Head
from app.sections.lesson.lesson import SHOWN, Step, Verdict


@dataclass(frozen=True, slots=True)
class Setting:
    """A model that the lesson can be about.

    Args:
        model: Its name.
        layers, heads: How many it has, and heads in each layer.
        layer: Where its induction heads are.
        before: Where the previous-token head is that feeds them.
    """

    model: str
    layers: int
    heads: int
    layer: int
    before: int


# The first one is where the lesson begins.
SETTINGS = (Setting("attn-only-2l", 2, 8, 1, 0), Setting("gelu-4l", 4, 6, 3, 1))
# S = 25: patterns of 51 tokens can be read without zooming.
INPUT: dict[str, str | int] = {"input": "repeated", "length": 25, "batch": 10, "seed": 0}
# The course's threshold for an induction head.
STRIPE = 0.4


class Evidence(Protocol):
    """What the steps are checked against; arrays are [layer, head]."""

    @property
    def halves(self) -> tuple[float, float]:
        """Loss on each half, nats."""

    @property
    def induction(self) -> np.ndarray:
        """Induction scores."""

    @property
    def previous(self) -> np.ndarray:
        """Previous-token scores."""

    @property
    def effects(self) -> np.ndarray:
        """Zero ablation of every head, nats."""

    @property
    def head(self) -> Head:
        """The head that the learner has found."""

    @property
    def feeder(self) -> Head:
        """The strongest previous-token head of the layer before."""

    @property
    def stripe_without(self) -> float:
        """The head's induction score when the feeder is silenced."""

    @property
    def copied(self) -> float:
        """Share of all tokens that the head's OV raises most."""


def _halves(answer: str, evidence: Evidence) -> Verdict:
    first, second = evidence.halves
    numbers = f"{first:.2f} nats on the first half, {second:.2f} on the second"
    if answer == "second":
        return Verdict(True, f"The loss is {numbers}. It can only have copied.")
    return Verdict(False, f"Compare the line in both coloured bands: the loss is {numbers}.")


def _stripe(answer: str, evidence: Evidence) -> Verdict:
    head = Head.parse(answer)
    score = evidence.induction[head.layer, head.head]
    if score > STRIPE:
        return Verdict(
            True,
            f"{answer} has the stripe: each token of the second half looks S - 1 = 24 back, at the "
            "token that followed its earlier copy.",
        )
    return Verdict(
        False,
        f"{answer} has no line 24 positions below the diagonal. Look at the lower left part, where "
        "destinations of the second half meet sources of the first, and try another head.",
    )


def _score(answer: str, evidence: Evidence) -> Verdict:
    score = float(evidence.induction[evidence.head.layer, evidence.head.head])
    label, band = evidence.head.label, _band(score)
    if answer == band:
        return Verdict(
            True, f"{label} scores {score:.2f}, where an even spread would give about 0.03."
        )
    return Verdict(
        False, f"Find the framed cell of {label} in the map and point at it: it says {score:.2f}."
    )


def _prediction(answer: str, evidence: Evidence) -> Verdict:
    effects, head = evidence.effects, evidence.head
    layer, number = (int(i) for i in np.unravel_index(int(effects.argmax()), effects.shape))
    worst = Head(layer, number)
    kind = "mine" if worst == head else "layer1" if layer == head.layer else "layer0"
    mine = float(effects[head.layer, head.head])
    if answer == kind:
        alike = int((evidence.induction[head.layer] > STRIPE).sum())
        return Verdict(
            True,
            f"Without {worst.label} the loss rises by {effects.max():.2f} nats, without "
            f"{head.label} by {mine:.2f}. {alike} heads of layer {head.layer} have the stripe.",
        )
    others = np.delete(effects[head.layer], head.head)
    rise = {"mine": mine, "layer1": others.max(), "layer0": effects[: head.layer].max()}[answer]
    return Verdict(
        False,
        f"The most that such a head costs is {rise:.2f} nats, and another one costs more. Which?",
    )


def _feeder(answer: str, evidence: Evidence) -> Verdict:
    head = Head.parse(answer)
    score = evidence.previous[head.layer, head.head]
    if head == evidence.feeder:
        return Verdict(
            True,
            f"{answer} puts {score:.0%} of its attention on the token before. It writes into each "
            "position which token came before it.",
        )
    return Verdict(
        False,
        f"{answer} puts {score:.0%} of its attention on the token before. The head you want has "
        "one sharp line right beside the diagonal, all the way down.",
    )


def _wire(answer: str, evidence: Evidence) -> Verdict:
    head, feeder = evidence.head, evidence.feeder
    before, after = float(evidence.induction[head.layer, head.head]), evidence.stripe_without
    truth = "fades" if after < before / 5 else "weaker" if after < 0.8 * before else "stays"
    if answer != truth:
        return Verdict(
            False,
            f"If {head.label} looks things up in what {feeder.label} writes, and in nothing else, "
            "what is left without it? And if other heads write it too? Or if it reads none of it?",
        )
    alike = [
        Head(int(layer), int(number)).label
        for layer, number in np.argwhere(evidence.previous[: head.layer] > STRIPE)
        if (layer, number) != (feeder.layer, feeder.head)
    ]
    others = f" ({', '.join(alike)} look one back too)" if alike else ""
    said = {
        "fades": f"{head.label} looks things up in what {feeder.label} writes.",
        "weaker": f"{head.label} reads what {feeder.label} writes, and not that alone{others}.",
        "stays": f"{head.label} does not need {feeder.label} for it.",
    }[truth]
    return Verdict(True, f"The induction score goes from {before:.2f} to {after:.2f}. {said}")


def _copy(answer: str, evidence: Evidence) -> Verdict:
    label, share = evidence.head.label, evidence.copied
    if answer == _band(share):
        return Verdict(
            True,
            f"For {share:.0%} of all tokens, attending to the token raises that same token most. "
            "By chance it would be one token among all of them.",
        )
    return Verdict(
        False, f"Read the darker bar above {label}, “top guess”: it stands at {share:.0%}."
    )


def _explanation(answer: str, evidence: Evidence) -> Verdict:
    label, feeder = evidence.head.label, evidence.feeder.label
    if answer == "circuit":
        return Verdict(
            True,
            f"That is the induction circuit: {feeder} marks each token with the one before it, "
            f"{label} finds the mark that matches and copies what it marks.",
        )
    hint = {
        "memory": "Random tokens were never seen in training, so nothing can be remembered.",
        "distance": f"Then silencing {feeder} would not have mattered to the stripe (step 6).",
    }[answer]
    return Verdict(False, f"{hint} Think of what each of the two heads does.")


def _band(share: float) -> str:
    return "low" if share < 0.1 else "middle" if share <= 0.5 else "high"


def _heads(layer: int, count: int) -> tuple[tuple[str, str], ...]:
    labels = [Head(layer, head).label for head in range(count)]
    return tuple((label, label) for label in labels)


_BANDS = (("low", "under 10 %"), ("middle", "10 to 50 %"), ("high", "over 50 %"))


def steps_of(setting: Setting) -> tuple[Step[Evidence], ...]:
    """The steps, worded for a model."""
    layer, before, count = setting.layer, setting.before, setting.layers * setting.heads
    return (
        Step(
            "The model has seen this before",
            "The input is 25 random tokens, and then the same 25 again. Nobody could guess the "
            "first half. The line shows how probable the model found each token that came.",
            "Where does the model predict well?",
            "line",
            (
                ("first", "In the first half"),
                ("second", "In the second half"),
                ("same", "All along"),
            ),
            _halves,
        ),
        Step(
            "Find the stripe",
            "Some head must look back to the first half. In a pattern each row is a destination "
            "and shows which sources it looks at. To repeat what came next, a token has to look at "
            "what followed its earlier copy: 24 positions back, a stripe in the lower left.",
            f"Go through the heads of layer {layer} and stop at one that has the stripe.",
            "pattern of the answer",
            _heads(layer, setting.heads),
            _stripe,
            pills=True,
            shows=lambda evidence: evidence.head.label,
        ),
        Step(
            "Measure it",
            "The induction score is the mean attention on that stripe. The map has it for every "
            "head; yours is framed. A head that spreads its attention evenly would get about 3 %.",
            "How much of its attention does your head put there?",
            "scores",
            _BANDS,
            _score,
        ),
        Step(
            "Predict, then see",
            "A head that looks is not yet a head that is needed. Ablation replaces a head's z by "
            f"zero and measures how far the second half's loss rises. There are {count} heads.",
            "Silencing which head hurts most? Decide before you look: the map comes when you know.",
            "effects",
            (
                ("mine", "The head I have found"),
                ("layer1", f"Another head of layer {layer}"),
                ("layer0", "A head of layer 0" if layer == 1 else "A head of an earlier layer"),
            ),
            _prediction,
        ),
        Step(
            "Who feeds it?",
            "Your head has to find the token that followed an earlier copy. That token can only be "
            "found if something has written into it which token came before it. That is work for a "
            "head of an earlier layer that looks one back: a previous-token head.",
            f"Go through the heads of layer {before} and stop at the previous-token head.",
            "pattern of the answer",
            _heads(before, setting.heads),
            _feeder,
            pills=True,
        ),
        Step(
            "Cut the wire",
            "If your head reads what the previous-token head has written, then silencing that one "
            "head must change where yours looks. The picture is your head's pattern as it is.",
            "What happens to the stripe without the previous-token head? The second picture comes "
            "when you know.",
            "wire",
            (
                ("stays", "It stays"),
                ("weaker", "It gets weaker"),
                ("fades", "It is all but gone"),
            ),
            _wire,
        ),
        Step(
            "What does it move?",
            "Looking is half of it; the OV circuit is what a head writes about a token that it "
            "looks at. From the weights alone: for how many of all tokens does it raise that very "
            "token most? That is its copying accuracy. On the right, all induction heads together.",
            "What share of all tokens does your head copy?",
            "copying",
            _BANDS,
            _copy,
        ),
        Step(
            "Explain it",
            "The map shows how far the keys of your head read what each earlier head writes "
            "(K-composition). You have the pattern, the ablation, the wire and the copying.",
            "Which explanation fits all of them?",
            "composition",
            (
                ("memory", "The head remembers from training which token follows which"),
                ("distance", "The head always looks 24 back, whatever the tokens are"),
                (
                    "circuit",
                    "One head notes at each token what came before it; a later head finds the note "
                    "that matches the present token and copies the token it stands at",
                ),
            ),
            _explanation,
        ),
    )


def found_head(answers: Sequence[str], induction: np.ndarray, layer: int) -> Head:
    """The head that the learner goes on with: theirs if it has the stripe, else the strongest."""
    if answers[1] not in ("", SHOWN):
        head = Head.parse(answers[1])
        if induction[head.layer, head.head] > STRIPE:
            return head
    return Head(layer, int(np.nan_to_num(induction[layer]).argmax()))
