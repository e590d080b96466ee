"""What is registered of a quantity."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, replace
from types import ModuleType


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity: what it means, which function gives it, and code that gives it again.

    Attributes:
        name: As it is on screen.
        meaning: One sentence.
        formula: The definition.
        unit: Range or unit.
        source: Who defined it.
        function: The public name in `analysis` of what computes it.
        results: Classes of the results that hold it: they may be read from a file.
        needs: The parts that its code begins with (`app.frame.snippets.parts`), which are written
            for the model's own norms, positions and shared keys; with "repeated" it is about
            repeated tokens only. A part that a model does not allow leaves it without code.
        code: Plain Python for a reader; it ends with `result`, the numbers that the page shows.
            Names in capitals are set from the view. Empty where there is none.
        axes: What the first axes of `result` are, so that a figure takes its own part of it:
            sequence, layer, head, dest or neuron; any other name is not taken from.
    """

    name: str
    meaning: str
    formula: str
    unit: str
    source: str
    _: KW_ONLY
    function: str
    results: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    code: str = ""
    axes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("name", "meaning", "formula", "unit", "source", "function"):
            if not getattr(self, field).strip():
                raise ValueError(f"{self.name or 'a quantity'} lacks its {field}")


def of_every_head(quantity: Quantity) -> Quantity:
    """A quantity whose code gives all of it where a figure about one head shows all heads."""
    return replace(quantity, axes=())


def registered(module: ModuleType) -> Iterator[Quantity]:
    """The quantities that are constants of a module, in the order in which they stand there."""
    return (value for value in vars(module).values() if isinstance(value, Quantity))
