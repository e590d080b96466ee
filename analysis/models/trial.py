"""One run of a bridge on a few tokens, and whether two ways to a tensor end in the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from analysis.errors import out_of_memory

# Of the largest entry: rounding is a thousandth of this, and another rule for a norm far more.
TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Run:
    """A bridge and the activations of one run of it, by TransformerLens's names."""

    bridge: Any
    cache: dict[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.cache[name]

    def at(self, layer: int, name: str) -> Tensor:
        """An activation of one block."""
        return self.cache[f"blocks.{layer}.{name}"]

    @property
    def layers(self) -> range:
        """The numbers of the blocks."""
        return range(len(self.bridge.blocks))


def agrees(one: Callable[[], Tensor], other: Callable[[], Tensor]) -> bool:
    """Whether two ways to a tensor end in the same; a way that cannot be gone does not."""
    try:
        a, b = one(), other()
        if a.shape != b.shape:
            return False
        return bool((a - b).abs().max() <= TOLERANCE * b.abs().max().clamp(min=1e-6))
    # Whatever a module of an architecture that nobody has seen here raises.
    except Exception as error:
        if out_of_memory(error):
            raise
        return False


def by_head(run: Run, layer: int, part: str) -> Tensor:
    """Queries, keys or values as [batch, pos, head, d_head], as many heads as they have."""
    found = run.at(layer, f"attn.hook_{part}")
    width = run.at(layer, "attn.hook_z").shape[-1]
    return found if found.dim() == 4 else found.unflatten(-1, (-1, width))
