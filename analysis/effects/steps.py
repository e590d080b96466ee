"""The kinds of steps that an intervention by hand is made of."""

from dataclasses import dataclass
from typing import Literal

from analysis.head import Head

LEAST_DIAL, MOST_DIAL = -1.0, 2.0
MOST_ADDED = 10.0  # times a direction
MOST_FIRED = 100.0  # of a neuron


@dataclass(frozen=True, slots=True)
class Dial:
    """z of a head times a factor: 1 leaves it, 0 is zero ablation, -1 turns it round."""

    head: Head
    factor: float

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return f"{self.head.label}x{self.factor:g}"

    @property
    def listed(self) -> tuple[object, ...]:
        """As code holds it."""
        return ("dial", self.head.layer, self.head.head, self.factor)

    @property
    def said(self) -> str:
        """What it does, in words."""
        return f"output of {self.head.label} times {self.factor:g}"


@dataclass(frozen=True, slots=True)
class Swap:
    """z of a head replaced, as `analysis.effects.replacements` replaces it."""

    head: Head
    method: Literal["mean", "resample"]

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return f"{self.head.label}-{self.method}"

    @property
    def listed(self) -> tuple[object, ...]:
        """As code holds it."""
        return ("swap", self.head.layer, self.head.head, self.method)

    @property
    def said(self) -> str:
        """What it does, in words."""
        what = "its mean over" if self.method == "mean" else "that on one of the stretches of"
        return f"output of {self.head.label} replaced by {what} the reference text"


@dataclass(frozen=True, slots=True)
class Push:
    """What a head would write if it looked at one source alone is added to what it writes.

    That is its value there in the run as it is, times a factor, added to z at every position
    behind BOS: a direction of the head's own OV circuit.
    """

    head: Head
    src: int
    factor: float

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return f"{self.head.label}v{self.src}x{self.factor:g}"

    @property
    def listed(self) -> tuple[object, ...]:
        """As code holds it."""
        return ("push", self.head.layer, self.head.head, self.src, self.factor)

    @property
    def said(self) -> str:
        """What it does, in words."""
        return (
            f"{self.factor:g} times what {self.head.label} writes from position {self.src}, added "
            "everywhere"
        )


@dataclass(frozen=True, slots=True)
class Look:
    """A head looks from one destination at one source alone."""

    head: Head
    dest: int
    src: int

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return f"{self.head.label}q{self.dest}k{self.src}"

    @property
    def listed(self) -> tuple[object, ...]:
        """As code holds it."""
        return ("look", self.head.layer, self.head.head, self.dest, self.src)

    @property
    def said(self) -> str:
        """What it does, in words."""
        return f"{self.head.label} looks from position {self.dest} only at position {self.src}"


@dataclass(frozen=True, slots=True)
class Weigh:
    """One cell of a head's pattern set to a weight; the row is not made to sum to 1 again."""

    head: Head
    dest: int
    src: int
    weight: float

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return f"{self.head.label}q{self.dest}k{self.src}x{self.weight:g}"

    @property
    def listed(self) -> tuple[object, ...]:
        """As code holds it."""
        return ("weigh", self.head.layer, self.head.head, self.dest, self.src, self.weight)

    @property
    def said(self) -> str:
        """What it does, in words."""
        where = f"{self.head.label} from position {self.dest} to position {self.src}"
        return f"attention of {where} set to {self.weight:g}"


@dataclass(frozen=True, slots=True)
class Borrow:
    """A head attends as it does on the second prompt."""

    head: Head

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return f"{self.head.label}-borrow"

    @property
    def listed(self) -> tuple[object, ...]:
        """As code holds it."""
        return ("borrow", self.head.layer, self.head.head)

    @property
    def said(self) -> str:
        """What it does, in words."""
        return f"{self.head.label} attends as on the second prompt"


@dataclass(frozen=True, slots=True)
class Fire:
    """A neuron is set to a value at every position."""

    layer: int
    neuron: int
    value: float

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return f"L{self.layer}N{self.neuron}x{self.value:g}"

    @property
    def listed(self) -> tuple[object, ...]:
        """As code holds it."""
        return ("fire", self.layer, self.neuron, self.value)

    @property
    def said(self) -> str:
        """What it does, in words."""
        return f"neuron L{self.layer}N{self.neuron} set to {self.value:g} everywhere"


@dataclass(frozen=True, slots=True)
class Patch:
    """What enters a layer at a position is taken from the second prompt."""

    layer: int
    position: int

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return f"R{self.layer}p{self.position}"

    @property
    def listed(self) -> tuple[object, ...]:
        """As code holds it."""
        return ("patch", self.layer, self.position)

    @property
    def said(self) -> str:
        """What it does, in words."""
        return (
            f"stream into layer {self.layer} at position {self.position} taken from the second "
            "prompt"
        )


@dataclass(frozen=True, slots=True)
class Steer:
    """The difference of two prompts is added to what enters a layer.

    It is that of the last positions, second less first, and is added at every position behind BOS.
    """

    layer: int
    factor: float

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return f"R{self.layer}x{self.factor:g}"

    @property
    def listed(self) -> tuple[object, ...]:
        """As code holds it."""
        return ("steer", self.layer, self.factor)

    @property
    def said(self) -> str:
        """What it does, in words."""
        return (
            f"stream into layer {self.layer} moved by {self.factor:g} times second prompt less "
            "first"
        )


Step = Dial | Swap | Push | Look | Weigh | Borrow | Fire | Patch | Steer
# Those that take something of the second prompt.
OfSecond = Borrow | Patch | Steer
# Those that name positions of the prompt, or take a pattern for it.
OF_PROMPT = (Look, Weigh, Borrow, Patch)
