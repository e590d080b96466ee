"""The bar: what a finished model has to show before it is shipped."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from analysis.ablation import ablation_sweep
from analysis.heads import Head
from training.measure import Measured

INDUCTION_THRESHOLD = 0.65
RANDOM_PAIRS = 200


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
    """Smallest K-composition with the previous-token head, in sd above random pairs.

    score = ||A B|| / (||A|| ||B||) (Frobenius) with A = W_V W_O of the previous-token head and
    B = (W_Q W_K^T)^T of an induction head, against products of normal matrices of those shapes,
    whose mean is 1 / sqrt(d_model). Source: ARENA 1.2, section 4.
    """
    blocks, info = measured.model.bridge.blocks, measured.model.info
    random = torch.Generator().manual_seed(0)

    def low_rank() -> torch.Tensor:
        left, right = torch.randn(2, info.d_model, info.d_head, generator=random)
        return left @ right.T

    def composition(writer: torch.Tensor, reader: torch.Tensor) -> float:
        return float((writer @ reader).norm() / (writer.norm() * reader.norm()))

    pairs = torch.tensor([composition(low_rank(), low_rank()) for _ in range(RANDOM_PAIRS)])
    head = previous_token_head(measured)
    attention = blocks[head.layer].attn
    writer = attention.W_V[head.head] @ attention.W_O[head.head]
    scores = []
    for reader in induction_heads(measured):
        attention = blocks[reader.layer].attn
        scores.append(
            composition(writer, attention.W_K[reader.head] @ attention.W_Q[reader.head].T)
        )
    return (min(scores, default=0.0) - info.d_model**-0.5) / float(pairs.std())


def joint_copying(measured: Measured) -> float:
    """Share of the vocabulary that the induction heads' joint OV circuit maps to itself, top-1."""
    bridge, heads = measured.model.bridge, induction_heads(measured)
    if not heads:
        return 0.0
    attention = bridge.blocks[heads[0].layer].attn
    chosen = [head.head for head in heads if head.layer == heads[0].layer]
    read = torch.cat([attention.W_V[head] for head in chosen], dim=1)
    write = torch.cat([attention.W_O[head] for head in chosen], dim=0)
    top = torch.cat(
        [(rows @ read @ write @ bridge.W_U).argmax(-1) for rows in bridge.W_E.split(512)]
    )
    return float((top == torch.arange(len(top))).float().mean())


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
