"""What can be said of a model of each architecture, and why not where it cannot.

One place decides: analysis functions that would give a wrong number for an architecture call these
first, pages show the sentence, and `allowances` lists all of it for a model's card.
"""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.definitions import FROZEN_SCALE
from analysis.errors import AnalysisError
from analysis.models.info import ModelInfo

# A norm stands between the heads' sum and the stream.
_NORM_AFTER_HEADS = ("gemma2", "gemma3_text")

_NORMED_QUERIES = ("qwen3", "gemma3_text")

# The linear part of these can be multiplied into the weights that read the stream.
_FOLDABLE = (None, "LN", "RMS")

FROZEN_AFTER_HEADS = (
    "A norm follows the heads' sum. Its scale is frozen too, so that every head has a write of its "
    "own."
)
TURNED_OUT = (
    "Rotary positions turn queries and keys by their distance; this leaves the turn out, so it "
    "compares contents only."
)

# What a norm is called in a sentence, after "a" or "an".
_NORMS = {"LN": "a LayerNorm", "RMS": "an RMS norm"}

Refusal = Callable[[ModelInfo], str]


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether an analysis is defined for a model.

    `reason` says why it is not, and is empty where it is; `note` says what to know then.
    """

    analysis: str
    reason: str = ""
    note: str = ""


def allowances(info: ModelInfo) -> tuple[Allowance, ...]:
    """Every analysis, in the order of the pages, with whether `info` allows it or why not."""
    return tuple(
        Allowance(
            analysis,
            reason := next((said for refuse in refusals if (said := refuse(info))), ""),
            "" if reason else note(info),
        )
        for analysis, refusals, note in _ANALYSES
    )


def why_not(analysis: str, info: ModelInfo) -> str:
    """Why an analysis, by its name in `allowances`, is not defined for a model; empty where it is.

    Raises:
        KeyError: No analysis of that name.
    """
    return {each.analysis: each.reason for each in allowances(info)}[analysis]


def require_position_vectors(info: ModelInfo, wanted: str) -> None:
    """Refuse a model without position vectors that queries and keys read: `wanted` needs them.

    Raises:
        AnalysisError: Rotary positions.
    """
    _require(_no_position_vectors(info, wanted))


def require_fixed_qk(info: ModelInfo) -> None:
    """Refuse a model whose scores are no product of fixed matrices, whatever the distance.

    Raises:
        AnalysisError: Queries and keys are normalised per head before they meet.
    """
    _require(_no_fixed_qk(info))


def require_foldable_norms(info: ModelInfo) -> None:
    """Refuse a model with norms that cannot be multiplied into the weights after them.

    Raises:
        AnalysisError: Norms other than LayerNorm and RMS norms.
    """
    _require(_no_foldable_norms(info))


def require_mlps(info: ModelInfo) -> None:
    """Refuse a model without neurons.

    Raises:
        AnalysisError: Attention only.
    """
    _require(_no_mlps(info))


def require_two_layers(info: ModelInfo) -> None:
    """Refuse a model in which no head comes after another.

    Raises:
        AnalysisError: One layer.
    """
    _require(_one_layer(info))


def scale_note(info: ModelInfo) -> str:
    """How attribution deals with the model's norms; empty for a model without any."""
    if not info.normalization:
        return ""
    said = FROZEN_SCALE.format(
        norm=_NORMS.get(info.normalization, f"a norm ({info.normalization})")
    )
    return " ".join(filter(None, [said, write_note(info)]))


def write_note(info: ModelInfo) -> str:
    """How the writes of heads are told apart where a norm follows their sum; empty elsewhere."""
    return FROZEN_AFTER_HEADS if info.kind in _NORM_AFTER_HEADS else ""


def rotary_note(info: ModelInfo) -> str:
    """What products of query and key weights leave out; empty where they leave nothing out."""
    return TURNED_OUT if info.positions == "rotary" else ""


def _require(reason: str) -> None:
    if reason:
        raise AnalysisError(reason)


def _no_position_vectors(info: ModelInfo, wanted: str) -> str:
    if info.positions != "rotary":
        return ""
    return (
        f"{info.name} has rotary positions: its queries and keys are turned by an angle "
        f"that depends on the distance, so {wanted} does not exist as a product of fixed "
        "matrices. Choose a model with learned positions."
    )


def _no_fixed_qk(info: ModelInfo) -> str:
    if info.kind not in _NORMED_QUERIES:
        return ""
    return (
        f"{info.name} normalises its queries and keys, so no fixed matrix says what a head "
        "looks for. V-composition and OV circuits are defined for it."
    )


def _no_foldable_norms(info: ModelInfo) -> str:
    if info.normalization in _FOLDABLE:
        return ""
    return (
        f"{info.name} uses {info.normalization} norms; circuits are defined here for models with "
        "LayerNorm, RMS norms or none. Choose one of those."
    )


def _no_mlps(info: ModelInfo) -> str:
    if info.has_mlp:
        return ""
    return f"{info.name} has attention only: no MLPs, so no neurons. Choose a model with MLPs."


def _one_layer(info: ModelInfo) -> str:
    if info.n_layers > 1:
        return ""
    return f"{info.name} has one layer, so no head can read another. Choose a deeper model."


def _no_bos(info: ModelInfo) -> str:
    if info.has_bos:
        return ""
    return (
        f"{info.name} has no BOS token: a prompt begins with its own first token, and repeated "
        "tokens with the end-of-text token, which stood between documents in training."
    )


def _no_score_by_position(info: ModelInfo) -> str:
    return _no_position_vectors(info, "a score by token or by position")


def _window_note(info: ModelInfo) -> str:
    if not info.window:
        return ""
    return (
        f"Up to {info.n_ctx} tokens: some layers see only the last {info.window}, beyond which "
        "chance levels would be others."
    )


def _group_note(info: ModelInfo) -> str:
    shared = info.n_heads // info.n_kv_heads if info.n_kv_heads else 1
    return f"{shared} heads share each key and value." if shared > 1 else ""


def _nothing(info: ModelInfo) -> str:
    return ""


_ANALYSES: tuple[tuple[str, tuple[Refusal, ...], Callable[[ModelInfo], str]], ...] = (
    ("BOS in front of the input", (_no_bos,), _nothing),
    ("Patterns, head scores, loss, logit lens", (), _window_note),
    ("Ablation, patching of activations", (), _group_note),
    ("Neurons", (_no_mlps,), _nothing),
    ("Attribution to a logit, by head and source", (), scale_note),
    ("Paths between heads, circuits of a prediction", (), write_note),
    ("OV circuits", (_no_foldable_norms,), _nothing),
    ("V-composition", (_no_foldable_norms, _one_layer), _nothing),
    ("Q- and K-composition", (_no_fixed_qk, _no_foldable_norms, _one_layer), rotary_note),
    ("QK by token or position", (_no_score_by_position, _no_foldable_norms), _nothing),
    ("Scores by component", (_no_foldable_norms,), _nothing),
)
