"""What can be said of a model of each architecture, and why not where it cannot.

One place decides: analysis functions that would give a wrong number for an architecture call these
first, and pages show the sentence.
"""

from analysis.catalog import ModelInfo
from analysis.errors import AnalysisError

# A norm stands between the heads' sum and the stream; Gemma 2 also bends its logits at the end.
_NORM_AFTER_HEADS = ("gemma2", "gemma3_text")

_NORMED_QUERIES = ("qwen3", "gemma3_text")


def require_head_writes(info: ModelInfo) -> None:
    """Refuse a model whose heads write something else to the stream than z W_O.

    Raises:
        AnalysisError: A norm follows the heads' sum, so OV circuits and attribution by head would
            not add up to what the model does.
    """
    if info.kind in _NORM_AFTER_HEADS:
        raise AnalysisError(
            f"In {info.name} a norm follows the heads' sum, so no head has an output of its own. "
            "Choose another model."
        )


def require_learned_positions(info: ModelInfo, wanted: str) -> None:
    """Refuse a model that has no position vectors in its stream: `wanted` is undefined there.

    Raises:
        AnalysisError: Rotary positions, or shortformer ones, which only queries and keys see.
    """
    if info.positions == "rotary":
        raise AnalysisError(
            f"{info.name} has rotary positions: its queries and keys are turned by an angle that "
            f"depends on the distance, so {wanted} does not exist as a product of fixed matrices. "
            "Choose a model with learned positions."
        )
    if info.positions == "shortformer":
        raise AnalysisError(
            f"{info.name} adds its positions to what queries and keys read and not to the stream, "
            f"for which {wanted} is not worked out here. Choose a model with learned positions."
        )


def require_fixed_qk(info: ModelInfo) -> None:
    """Refuse a model whose scores are no product of fixed matrices, whatever the distance.

    Raises:
        AnalysisError: Queries and keys are normalised per head before they meet.
    """
    if info.kind in _NORMED_QUERIES:
        raise AnalysisError(
            f"{info.name} normalises its queries and keys, so no fixed matrix says what a head "
            "looks for. V-composition and OV circuits are defined for it."
        )
