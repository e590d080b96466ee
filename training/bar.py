"""The bar: what a finished model has to show before it is shipped."""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.circuits.composition import composition_scores
from analysis.circuits.copying import ov_copying
from analysis.effects.ablation import ablation_sweep
from analysis.head import Head
from training.measure import Measured

INDUCTION_THRESHOLD = 0.65


@dataclass(frozen=True)
class Line:
    """One figure against its limit."""

    meaning: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.meaning}: one of at_least and at_most is needed")

    @property
    def met(self) -> bool:
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.at_most is not None and self.value <= self.at_most

    @property
    def limit(self) -> str:
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}"


def check(bar: dict[str, dict[str, float]], measured: Measured) -> list[Line]:
    """The figures that a recipe's `[bar]` names, each with its limit from there."""
    return [
        Line(FIGURES[name].meaning, FIGURES[name].value(measured), **limit)
        for name, limit in bar.items()
    ]


def previous_token_head(measured: Measured) -> Head:
    """The head of layer 0 with the highest previous-token score."""
    return Head(0, int(measured.scores.previous[0].argmax()))


def induction_heads(measured: Measured) -> list[Head]:
    """The heads above layer 0 that reach `INDUCTION_THRESHOLD`, strongest first."""
    found = measured.scores.above("induction", INDUCTION_THRESHOLD)
    return [head for head, _ in found if head.layer > 0]


def ablation_rise(measured: Measured) -> float:
    head = previous_token_head(measured)
    sweep = ablation_sweep(measured.model, measured.tokens, "zero")
    return float(sweep.values[head.layer, head.head])


def k_composition_sd(measured: Measured) -> float:
    """Smallest K-composition with the previous-token head, in sd above random pairs."""
    writer, found = previous_token_head(measured), composition_scores(measured.model, "K")
    return min(
        (
            float(found.deviations[writer.layer, writer.head, reader.layer, reader.head])
            for reader in induction_heads(measured)
        ),
        default=0.0,
    )


def joint_copying(measured: Measured) -> float:
    """Share of the vocabulary that the induction heads' joint OV circuit maps to itself, top-1."""
    heads = induction_heads(measured)
    return ov_copying(measured.model, heads).accuracy[1] if heads else 0.0


@dataclass(frozen=True)
class Figure:
    """What a recipe's `[bar]` can set a limit for."""

    meaning: str
    value: Callable[[Measured], float]


FIGURES = {
    "previous_token_score": Figure(
        "Previous-token score of the best head in layer 0",
        lambda m: float(m.scores.previous[0].max()),
    ),
    "induction_heads": Figure(
        f"Heads with an induction score of at least {INDUCTION_THRESHOLD:g}",
        lambda m: len(induction_heads(m)),
    ),
    "induction_score": Figure(
        "Induction score of the best head",
        lambda m: float(m.scores.induction.max()),
    ),
    "first_half_loss": Figure(
        "Loss on the first half of repeated tokens, nats", lambda m: m.first_half_loss
    ),
    "second_half_loss": Figure(
        "Loss on the second half of repeated tokens, nats", lambda m: m.second_half_loss
    ),
    "k_composition_sd": Figure(
        "K-composition of the previous-token head into each induction head: the smallest, in "
        "standard deviations above random pairs",
        k_composition_sd,
    ),
    "ablation_rise": Figure(
        "Rise of the second half's loss when the previous-token head is zero-ablated, nats",
        ablation_rise,
    ),
    "joint_copying": Figure(
        "Tokens of the whole vocabulary that the induction heads' joint OV circuit copies (top-1)",
        joint_copying,
    ),
    "text_loss": Figure("Loss on held-out novels, nats per token", lambda m: m.text_loss),
}
