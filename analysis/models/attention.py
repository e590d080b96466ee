"""What multiplies q · k before the softmax: asked of the loaded modules, never worked out anew."""

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.errors import AnalysisError

# Where the modules of transformers keep it, by name: as a factor, or as what scores are divided by.
_FACTORS = ("scaling", "inv_norm_factor", "softmax_scale")
_DIVISORS = ("scale_attn", "scale")


def attention_scale(bridge: Any, layer: int) -> float:
    """The number that a layer's q · k is multiplied by before softmax; no unit.

    1/sqrt(d_head) in most models; GPT-2 may divide it by the layer's number, Gemma has a number of
    its own, GPT-Neo has 1.

    Raises:
        AnalysisError: The layer's module keeps no such number.
    """
    inner = bridge.blocks[layer].attn.original_component
    for name in _FACTORS:
        if (factor := getattr(inner, name, None)) is not None:
            return float(factor)
    for name in _DIVISORS:
        if (divisor := getattr(inner, name, None)) is not None:
            return 1 / float(divisor)
    raise AnalysisError(
        f"The scale of attention was asked of layer {layer}, whose module "
        f"{type(inner).__name__} keeps none. Choose another model."
    )


def angles_depend_on_length(bridge: Any) -> bool:
    """Whether a longer text turns all its tokens by other angles (Phi-3's longrope, dynamic NTK).

    Such a text is the same neither without its end nor piece by piece.
    """
    config = getattr(getattr(bridge, "original_model", None), "config", None)
    rules = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    return any(rule in ("longrope", "dynamic") for rule in _rope_types(rules))


def _rope_types(rules: Any) -> Iterator[Any]:
    """The kinds of angles that a config names: one, or one for each kind of layer."""
    if isinstance(rules, Mapping):
        yield rules.get("rope_type", rules.get("type"))
        for each in rules.values():
            yield from _rope_types(each)
