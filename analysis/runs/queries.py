"""Queries and keys as attention compares them: after the model's norms and turns of them."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from analysis.models import turning
from analysis.models.info import Turn
from analysis.models.loading import HeadModel
from analysis.models.turning import Side


def comparison_points(model: HeadModel, layer: int) -> list[str]:
    """The hook points that `as_compared` goes by, of those that the model has."""
    return turning.points(model.bridge, layer, _turn(model, layer))


def norms_queries(model: HeadModel, layer: int) -> bool:
    """Whether the layer norms the queries and keys of each head, as Qwen 3 and Gemma 3 do."""
    return turning.norms_queries(model.bridge, layer)


def as_compared(
    model: HeadModel,
    kept: Mapping[str, Tensor],
    layer: int,
    side: Side,
    head: int,
    vectors: Float[Tensor, "*part batch pos d_head"],
) -> Float[Tensor, "*part batch pos d_head"]:
    """A head's queries or keys, or parts of them, as they meet: `q . k` is then the score.

    Where the model norms them each is divided by the scale that the whole had at its position, and
    with rotary positions each is turned by the angle of its position, in the order and in the way
    that the model was found to have. Both are linear once the scale is given, so parts that sum to
    the whole still do.

    Args:
        model: The model.
        kept: Activations at `comparison_points`.
        layer: The head's layer.
        side: Queries or keys.
        head: The head, of the key/value heads for keys.
        vectors: What the layer's weights and biases gave.
    """
    return turning.compared(model.bridge, kept, layer, side, head, vectors, _turn(model, layer))


def score_cap(model: HeadModel, layer: int) -> float | None:
    """The size that a layer's scores are bent to stay below (Gemma 2); None without one."""
    return turning.score_cap(model.bridge, layer)


def _turn(model: HeadModel, layer: int) -> Turn:
    return model.info.turns[layer] if model.info.turns else Turn()
