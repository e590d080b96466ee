"""The name of one attention head, and which heads a model has."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from analysis.errors import AnalysisError

_LABEL = re.compile(r"L(\d{1,4})H(\d{1,4})")


@dataclass(frozen=True, order=True, slots=True)
class Head:
    """One attention head, counted from 0; written `L5H1`."""

    layer: int
    head: int

    def __post_init__(self) -> None:
        if self.layer < 0 or self.head < 0:
            raise ValueError(f"layer {self.layer} and head {self.head} must not be negative")

    @property
    def label(self) -> str:
        """The field's name for the head, such as `L5H1`."""
        return f"L{self.layer}H{self.head}"

    @classmethod
    def parse(cls, label: str) -> "Head":
        """The head that `label` names; ValueError unless it reads like `L5H1`."""
        match = _LABEL.fullmatch(label)
        if not match:
            raise ValueError(f"{label!r} is not a head label such as 'L5H1'")
        return cls(int(match[1]), int(match[2]))


@runtime_checkable
class HasHeads(Protocol):
    """What has to be known of a model to name its heads; a `ModelInfo` says so."""

    @property
    def name(self) -> str:
        """The name of the model."""

    @property
    def n_layers(self) -> int:
        """How many layers it has."""

    @property
    def n_heads(self) -> int:
        """How many heads each layer has."""


def all_heads(info: HasHeads) -> tuple[Head, ...]:
    """Every head of a model, layer by layer."""
    return tuple(
        Head(layer, head) for layer in range(info.n_layers) for head in range(info.n_heads)
    )


def require_heads(info: HasHeads, heads: Head | Sequence[Head]) -> tuple[Head, ...]:
    """One head or several, as a tuple.

    Raises:
        AnalysisError: None at all, one named twice, or one that the model lacks.
    """
    chosen = (heads,) if isinstance(heads, Head) else tuple(heads)
    if not chosen:
        raise AnalysisError("No head is chosen. Pick at least one.")
    if len(set(chosen)) < len(chosen):
        raise AnalysisError("A head is named twice. Name each once.")
    for head in chosen:
        if head.layer >= info.n_layers or head.head >= info.n_heads:
            raise AnalysisError(
                f"{head.label} was asked for; {info.name} has layers 0 to {info.n_layers - 1} "
                f"and heads 0 to {info.n_heads - 1}."
            )
    return chosen
