"""What can be said of a model, and why not where it cannot.

One place decides: analysis functions that would give a wrong number for a model call these first,
pages show the sentence, and `allowances` lists all of it for a model's card. What decides is what
a loaded model was found to do (`ModelInfo.traits`), not the name of its architecture.
"""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.errors import AnalysisError
from analysis.models.info import ModelInfo
from analysis.models.reasons import (
    encoder_reason,
    group_note,
    no_bos,
    no_fixed_qk,
    no_foldable_norms,
    no_head_writes,
    no_masked_head,
    no_mlps,
    no_pattern_edits,
    no_plain_logits,
    no_plain_reads,
    no_position_vectors,
    no_readable_stream,
    no_score_by_component,
    no_score_by_position,
    no_seen_values,
    no_source_effects,
    no_source_writes,
    nothing,
    one_layer,
    rotary_note,
    scale_note,
    window_note,
    write_note,
)

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
            reason := _reason(analysis, refusals, info),
            "" if reason else note(info),
        )
        for analysis, refusals, note in _ANALYSES
    )


def _reason(analysis: str, refusals: tuple[Refusal, ...], info: ModelInfo) -> str:
    if info.bidirectional and analysis in _OF_MASKED:
        return no_masked_head(info)
    if info.bidirectional and analysis not in _OF_ENCODERS:
        return encoder_reason(info, f"“{analysis}”")
    return next((said for refuse in refusals if (said := refuse(info))), "")


def why_not(analysis: str, info: ModelInfo) -> str:
    """Why an analysis, by its name in `allowances`, is not defined for a model; empty where it is.

    Raises:
        KeyError: No analysis of that name.
    """
    return {each.analysis: each.reason for each in allowances(info)}[analysis]


def require_decoder(info: ModelInfo, what: str) -> None:
    """Refuse an encoder.

    Raises:
        AnalysisError: It is one, so that there is no next token which its heads could help with.
    """
    if reason := encoder_reason(info, what):
        raise AnalysisError(reason)


def require_masked_head(info: ModelInfo) -> None:
    """Refuse a model that predicts no masked tokens.

    Raises:
        AnalysisError: A decoder, or an encoder whose weights hold no such head.
    """
    if reason := no_masked_head(info):
        raise AnalysisError(reason)


def require_head_writes(info: ModelInfo) -> None:
    """Refuse a model whose heads write something else to the stream than z W_O.

    A norm that follows their sum is allowed: with its scale frozen each has a write of its own.

    Raises:
        AnalysisError: A factor follows the heads' sum, or the stream is no sum of what is written,
            so attribution by head and paths from head to head would not add up to what it does.
    """
    _require(info, no_head_writes(info))


def require_source_writes(info: ModelInfo) -> None:
    """Refuse a model in which what a head writes of one source does not exist.

    Raises:
        AnalysisError: A factor or a norm follows the heads.
    """
    _require(info, no_source_writes(info))


def require_source_effects(info: ModelInfo) -> None:
    """Refuse a model in which that write adds nothing of its own to a logit.

    Raises:
        AnalysisError: As `require_source_writes`, `require_head_writes` or `require_plain_logits`.
    """
    _require(info, no_source_effects(info))


def has_source_writes(info: ModelInfo) -> bool:
    """Whether `require_source_writes` takes a model."""
    return not no_source_writes(info)


def has_source_effects(info: ModelInfo) -> bool:
    """Whether `require_source_effects` does."""
    return not no_source_effects(info)


def require_position_vectors(info: ModelInfo, wanted: str) -> None:
    """Refuse a model without position vectors that queries and keys read: `wanted` needs them.

    Raises:
        AnalysisError: Rotary positions, ALiBi, or vectors that are not the rows of W_pos.
    """
    _require(info, no_position_vectors(info, wanted))


def require_fixed_qk(info: ModelInfo) -> None:
    """Refuse a model whose scores are no product of fixed matrices, whatever the distance.

    Raises:
        AnalysisError: Queries and keys are normalised before they meet, or scores bent.
    """
    _require(info, no_fixed_qk(info))


def require_foldable_norms(info: ModelInfo) -> None:
    """Refuse a model with norms that cannot be multiplied into the weights after them.

    Raises:
        AnalysisError: Norms other than LayerNorm and RMS norms with weights, or something else
            than these between the embedding, the stream and what reads it.
    """
    _require(info, no_foldable_norms(info))


def require_worked_out_scores(info: ModelInfo) -> None:
    """Refuse a model whose scores are not queries and keys, normed, turned, scaled and bent.

    Raises:
        AnalysisError: Something else is done to them, or these steps cannot be seen.
    """
    _require(info, no_score_by_component(info))


def works_out_scores(info: ModelInfo) -> bool:
    """Whether a model's scores are queries and keys, normed, turned, scaled and bent."""
    return not no_score_by_component(info)


def require_plain_reads(info: ModelInfo) -> None:
    """Refuse a model whose heads do not read the stream through a norm and W.

    Raises:
        AnalysisError: They read it in another way.
    """
    _require(info, no_plain_reads(info))


def require_mlps(info: ModelInfo) -> None:
    """Refuse a model without neurons.

    Raises:
        AnalysisError: Attention only, or MLPs whose neurons are not to be seen.
    """
    _require(info, no_mlps(info))


def require_two_layers(info: ModelInfo) -> None:
    """Refuse a model in which no head comes after another.

    Raises:
        AnalysisError: One layer.
    """
    _require(info, one_layer(info))


def require_plain_logits(info: ModelInfo) -> None:
    """Refuse a model whose logits are not linear in what its final norm leaves.

    Raises:
        AnalysisError: They are bent, scaled or read through another kind of norm, so parts of
            one would not add up to it.
    """
    _require(info, no_plain_logits(info))


def require_readable_stream(info: ModelInfo) -> None:
    """Refuse a model whose logits are not its final norm, W_U and at most a soft cap.

    Raises:
        AnalysisError: They are something else, which a stream in between would not go through.
    """
    _require(info, no_readable_stream(info))


def require_pattern_edits(info: ModelInfo) -> None:
    """Refuse a model that goes on with its own pattern whatever is put in its place.

    Raises:
        AnalysisError: It was found to.
    """
    # Of an encoder too this is the reason: other activations of it can be edited.
    if reason := no_pattern_edits(info):
        raise AnalysisError(reason)


def require_seen_values(info: ModelInfo) -> None:
    """Refuse a model whose heads do more to their values than to average them by the pattern.

    Raises:
        AnalysisError: A clip, a norm or another step lies between values and z.
    """
    _require(info, no_seen_values(info))


def _require(info: ModelInfo, reason: str) -> None:
    if reason:
        raise AnalysisError(encoder_reason(info, "This analysis") or reason)


_LOOKS = "Patterns, head scores"
# Defined for encoders too.
_OF_ENCODERS = (_LOOKS,)
# Of encoders with a head for masked tokens.
_OF_MASKED = ("Loss", "Ablation, patching of activations")
_ANALYSES: tuple[tuple[str, tuple[Refusal, ...], Callable[[ModelInfo], str]], ...] = (
    ("BOS in front of the input", (no_bos,), nothing),
    (_LOOKS, (), window_note),
    ("Loss", (), nothing),
    ("Logit lens", (no_readable_stream,), nothing),
    ("Ablation, patching of activations", (), group_note),
    ("Patching of patterns", (no_pattern_edits,), nothing),
    ("Neurons", (no_mlps,), nothing),
    ("Value-weighted patterns", (no_source_writes,), nothing),
    (
        "Attribution to a logit, by head and source",
        (no_head_writes, no_plain_logits),
        scale_note,
    ),
    (
        "Paths between heads, circuits of a prediction",
        (no_head_writes, no_plain_reads),
        write_note,
    ),
    ("OV circuits", (no_head_writes, no_foldable_norms), nothing),
    (
        "V-composition",
        (no_head_writes, no_foldable_norms, one_layer),
        nothing,
    ),
    (
        "Q- and K-composition",
        (no_head_writes, no_fixed_qk, no_foldable_norms, one_layer),
        rotary_note,
    ),
    (
        "QK by token or position",
        (no_score_by_position, no_head_writes, no_foldable_norms),
        nothing,
    ),
    (
        "Scores by component",
        (no_score_by_component, no_head_writes, no_foldable_norms),
        nothing,
    ),
)
