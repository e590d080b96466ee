"""What values of a link must fit: the model that is shown, and the other values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.effects.circuit import circuits_text, fitted_circuit, parse_circuits
from analysis.models.info import ModelInfo
from app.config import settings
from app.links.parsers import NO_HEAD, Value, heads_in

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Below:
    """A number below how many of something a model has; else the page's default.

    Args:
        what: What is counted, in the singular.
        count: How many a model has.
        of_second: Whether it is about the second of two models.
    """

    what: str
    count: Callable[[ModelInfo], int]
    of_second: bool = False

    def fit(
        self, value: Value, values: Values, info: ModelInfo, second: ModelInfo
    ) -> tuple[Value, str]:
        """None, and a sentence, for a number that is too large."""
        owner = second if self.of_second else info
        count = self.count(owner)
        if value is None or int(value) < count:
            return value, ""
        return None, f"{owner.title} has no {self.what} {value} (they run from 0 to {count - 1})."


@dataclass(frozen=True, slots=True)
class HeadsOf:
    """Heads that the model has; the others are left out.

    Args:
        purpose: What is done to them.
    """

    purpose: str

    def fit(
        self, value: Value, values: Values, info: ModelInfo, second: ModelInfo
    ) -> tuple[Value, str]:
        """The heads that are there, and a sentence about the others."""
        if value is None or value == NO_HEAD:
            return value, ""
        heads = heads_in(str(value))
        known = [h for h in heads if h.layer < info.n_layers and h.head < info.n_heads]
        missing = [head.label for head in heads if head not in known]
        kept = ",".join(head.label for head in known) or None
        if not missing:
            return kept, ""
        return kept, f"{info.title} has no head {', '.join(missing[:3])} to {self.purpose}."


@dataclass(frozen=True, slots=True)
class CircuitsOf:
    """Circuits, of each the heads and edges that the model has.

    Args:
        emptied: What stands where nothing is left.
    """

    emptied: Value

    def fit(
        self, value: Value, values: Values, info: ModelInfo, second: ModelInfo
    ) -> tuple[Value, str]:
        """The circuits as the model has them, and a sentence about what it lacks."""
        if not value or value == NO_HEAD:
            return value, ""
        circuits = parse_circuits(str(value))
        kept = circuits_text(
            [own for each in circuits if (own := fitted_circuit(each, info)).heads]
        )
        if kept == value:
            return value, ""
        return kept or self.emptied, f"{info.title} has not all heads and edges of a circuit."


@dataclass(frozen=True, slots=True)
class AtMost:
    """A number that is lowered to what there is; only where the input is repeated tokens.

    Args:
        most: The largest that fits.
        said: The sentence about it.
    """

    most: Callable[[Values, ModelInfo], int]
    said: Callable[[Values, ModelInfo], str]

    def fit(
        self, value: Value, values: Values, info: ModelInfo, second: ModelInfo
    ) -> tuple[Value, str]:
        """The number, or the largest that fits and a sentence."""
        most = self.most(values, info)
        if value is None or int(value) <= most:
            return value, ""
        # Nobody asked for it on a page about a prompt.
        return most, self.said(values, info) if values["input"] == "repeated" else ""


Fit = Below | HeadsOf | CircuitsOf | AtMost

LAYER = Below("layer", lambda info: info.n_layers)
HEAD = Below("head", lambda info: info.n_heads)
DEPTH = Below("depth", lambda info: info.n_layers + 1)
SECOND_LAYER = Below("layer", lambda info: info.n_layers, of_second=True)
SECOND_HEAD = Below("head", lambda info: info.n_heads, of_second=True)
# Without MLPs the page of neurons says that there are none.
NEURON = Below("neuron", lambda info: info.d_mlp or 1_000_000)


def longest_half(info: ModelInfo) -> int:
    """The most tokens that can be repeated in a model's context, behind a BOS token."""
    return (info.n_ctx - 1) // 2


HALF = AtMost(
    lambda values, info: longest_half(info),
    lambda values, info: f"{info.title} takes at most {longest_half(info)} tokens in each half.",
)
BATCH = AtMost(
    lambda values, info: settings().max_batch,
    lambda values, info: f"This server takes {settings().max_batch} sequences at once.",
)
SEQUENCE = AtMost(
    lambda values, info: int(values["batch"] or 1) - 1,
    lambda values, info: f"There are {values['batch']} sequences; this draws the last one.",
)
