"""What can be said of a model, and why not where it cannot.

One place decides: analysis functions that would give a wrong number for a model call these first,
pages show the sentence, and `allowances` lists all of it for a model's card. What decides is what
a loaded model was found to do (`ModelInfo.traits`), not the name of its architecture.
"""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.definitions import FROZEN_SCALE
from analysis.errors import AnalysisError
from analysis.models.info import ModelInfo

FROZEN_AFTER_HEADS = (
    "A norm follows the heads' sum. Its scale is frozen too, so that every head has a write of its "
    "own."
)
TURNED_OUT = (
    "Rotary positions turn queries and keys by their distance; this leaves the turn out, so it "
    "compares contents only."
)
LOWERED_OUT = (
    "ALiBi lowers each score by the distance; this leaves that out, so it compares contents only."
)
SINK = (
    "Part of each row's attention goes to a place outside the text, so rows sum to less than 1, "
    "and chance levels would be others."
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


def encoder_reason(info: ModelInfo, what: str) -> str:
    """Why something is not defined for an encoder, as a sentence; empty for other models."""
    if not info.bidirectional:
        return ""
    return (
        f"{what} needs a model that predicts each token from those before it; {info.name} is an "
        "encoder, whose tokens see those after them too. Choose another model, or look at this "
        "one on Attention, Finder and Head."
    )


def require_decoder(info: ModelInfo, what: str) -> None:
    """Refuse an encoder.

    Raises:
        AnalysisError: It is one, so that there is no next token which its heads could help with.
    """
    if reason := encoder_reason(info, what):
        raise AnalysisError(reason)


def no_masked_head(info: ModelInfo) -> str:
    """Why the loss of masked tokens is not defined for a model; empty where it is."""
    if not info.bidirectional:
        return (
            f"{info.name} predicts the next token and no masked one. Choose an encoder with a head "
            "for masked tokens."
        )
    if info.has_mlm_head:
        return ""
    return (
        f"{info.name} is an encoder without a head that predicts masked tokens, so there is no "
        "loss that a head could matter for. Choose one with such a head, or look at this one on "
        "Attention, Finder and Head."
    )


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
    _require(info, _no_head_writes(info))


def require_source_writes(info: ModelInfo) -> None:
    """Refuse a model in which what a head writes of one source does not exist.

    Raises:
        AnalysisError: A factor or a norm follows the heads.
    """
    _require(info, _no_source_writes(info))


def require_source_effects(info: ModelInfo) -> None:
    """Refuse a model in which that write adds nothing of its own to a logit.

    Raises:
        AnalysisError: As `require_source_writes`, `require_head_writes` or `require_plain_logits`.
    """
    _require(info, _no_source_effects(info))


def has_source_writes(info: ModelInfo) -> bool:
    """Whether `require_source_writes` takes a model."""
    return not _no_source_writes(info)


def has_source_effects(info: ModelInfo) -> bool:
    """Whether `require_source_effects` does."""
    return not _no_source_effects(info)


def require_position_vectors(info: ModelInfo, wanted: str) -> None:
    """Refuse a model without position vectors that queries and keys read: `wanted` needs them.

    Raises:
        AnalysisError: Rotary positions, ALiBi, or vectors that are not the rows of W_pos.
    """
    _require(info, _no_position_vectors(info, wanted))


def require_fixed_qk(info: ModelInfo) -> None:
    """Refuse a model whose scores are no product of fixed matrices, whatever the distance.

    Raises:
        AnalysisError: Queries and keys are normalised before they meet, or scores bent.
    """
    _require(info, _no_fixed_qk(info))


def require_foldable_norms(info: ModelInfo) -> None:
    """Refuse a model with norms that cannot be multiplied into the weights after them.

    Raises:
        AnalysisError: Norms other than LayerNorm and RMS norms with weights, or something else
            than these between the embedding, the stream and what reads it.
    """
    _require(info, _no_foldable_norms(info))


def require_worked_out_scores(info: ModelInfo) -> None:
    """Refuse a model whose scores are not queries and keys, normed, turned, scaled and bent.

    Raises:
        AnalysisError: Something else is done to them, or these steps cannot be seen.
    """
    _require(info, _no_score_by_component(info))


def works_out_scores(info: ModelInfo) -> bool:
    """Whether a model's scores are queries and keys, normed, turned, scaled and bent."""
    return not _no_score_by_component(info)


def require_plain_reads(info: ModelInfo) -> None:
    """Refuse a model whose heads do not read the stream through a norm and W.

    Raises:
        AnalysisError: They read it in another way.
    """
    _require(info, _no_plain_reads(info))


def require_mlps(info: ModelInfo) -> None:
    """Refuse a model without neurons.

    Raises:
        AnalysisError: Attention only, or MLPs whose neurons are not to be seen.
    """
    _require(info, _no_mlps(info))


def require_two_layers(info: ModelInfo) -> None:
    """Refuse a model in which no head comes after another.

    Raises:
        AnalysisError: One layer.
    """
    _require(info, _one_layer(info))


def require_plain_logits(info: ModelInfo) -> None:
    """Refuse a model whose logits are not linear in what its final norm leaves.

    Raises:
        AnalysisError: They are bent, scaled or read through another kind of norm, so parts of
            one would not add up to it.
    """
    _require(info, _no_plain_logits(info))


def require_readable_stream(info: ModelInfo) -> None:
    """Refuse a model whose logits are not its final norm, W_U and at most a soft cap.

    Raises:
        AnalysisError: They are something else, which a stream in between would not go through.
    """
    _require(info, _no_readable_stream(info))


def require_pattern_edits(info: ModelInfo) -> None:
    """Refuse a model that goes on with its own pattern whatever is put in its place.

    Raises:
        AnalysisError: It was found to.
    """
    # Of an encoder too this is the reason: other activations of it can be edited.
    if reason := _no_pattern_edits(info):
        raise AnalysisError(reason)


def require_seen_values(info: ModelInfo) -> None:
    """Refuse a model whose heads do more to their values than to average them by the pattern.

    Raises:
        AnalysisError: A clip, a norm or another step lies between values and z.
    """
    _require(info, _no_seen_values(info))


def scale_note(info: ModelInfo) -> str:
    """How attribution deals with the model's norms; empty for a model without any."""
    if not info.normalization:
        return ""
    said = FROZEN_SCALE.format(
        norm=_NORMS.get(info.normalization, f"a norm ({info.normalization})")
    )
    return " ".join(filter(None, [said, write_note(info)]))


def write_note(info: ModelInfo) -> str:
    """What lies between the heads' sum and the stream, and how it is dealt with; often nothing."""
    factor = info.traits.write_factor
    times = f"What heads write is multiplied by {factor:.3g}, which is counted in."
    told = (FROZEN_AFTER_HEADS if info.traits.post_norm else "", "" if factor == 1 else times)
    return " ".join(filter(None, told))


def rotary_note(info: ModelInfo) -> str:
    """What products of query and key weights leave out; empty where they leave nothing out."""
    return {"rotary": TURNED_OUT, "alibi": LOWERED_OUT}.get(info.positions, "")


def _require(info: ModelInfo, reason: str) -> None:
    if reason:
        raise AnalysisError(encoder_reason(info, "This analysis") or reason)


def _no_head_writes(info: ModelInfo) -> str:
    traits = info.traits
    if traits.heads_write and traits.stream_adds_up:
        return ""
    if not traits.heads_write:
        return (
            f"In {info.name} a factor or another step follows the heads' sum, so no head has an "
            "output of its own. Choose another model."
        )
    return (
        f"In {info.name} the stream is more than the sum of the embedding and of what heads and "
        "MLPs write, so their parts would not add up to it. Choose another model."
    )


def _no_source_writes(info: ModelInfo) -> str:
    if not info.traits.heads_write:
        return _no_head_writes(info)
    if info.traits.post_norm:
        return (
            f"{info.name} has a norm after its heads, so what a head writes of one source does not "
            "exist. Choose another model."
        )
    return _no_seen_values(info)


def _no_seen_values(info: ModelInfo) -> str:
    if info.traits.values_seen:
        return ""
    return (
        f"In {info.name} a head's z is not its values averaged by its pattern: a clip, a norm or "
        "another step lies between, so what it moves from one source is not known. Choose another "
        "model."
    )


def _no_source_effects(info: ModelInfo) -> str:
    return _no_source_writes(info) or _no_head_writes(info) or _no_plain_logits(info)


def _no_position_vectors(info: ModelInfo, wanted: str) -> str:
    match info.positions:
        case "rotary":
            why = (
                "has rotary positions: its queries and keys are turned by an angle that depends on "
                f"the distance, so {wanted} does not exist as a product of fixed matrices"
            )
        case "alibi":
            why = (
                "has ALiBi positions: its scores are lowered by the distance, so "
                f"{wanted} does not exist as a product of fixed matrices"
            )
        case "none":
            why = f"adds no position vectors that can be seen, so {wanted} does not exist for it"
        case "learned" if not info.traits.position_table:
            why = f"adds other vectors than the rows of W_pos in turn, so {wanted} is not known"
        case _:
            return ""
    return f"{info.name} {why}. Choose a model with learned positions."


def _no_fixed_qk(info: ModelInfo) -> str:
    if info.traits.scores in ("plain", "capped"):
        return ""
    what = {
        "normed": "normalises its queries and keys",
        "other": "does more to its queries, keys or scores than to scale and turn them",
    }[info.traits.scores]
    return (
        f"{info.name} {what}, so no fixed matrix says what a head looks for. Choose another model, "
        "or look at V-composition and OV circuits."
    )


def _no_foldable_norms(info: ModelInfo) -> str:
    if not info.traits.plain_reads:
        what = "its queries, keys and values are not what the norm before them leaves, times W"
    elif not info.traits.plain_embedding:
        what = "a norm or a factor stands between its rows of W_E and its stream"
    elif not info.traits.foldable_norms or info.normalization not in (None, "LN", "RMS"):
        what = f"its norms are other ones ({info.normalization})"
    else:
        return ""
    return (
        f"Circuits are products of the weights of {info.name}, and {what}; they are defined here "
        "for LayerNorm, RMS norms with a weight, or none, right before what reads the stream. "
        "Choose another model."
    )


def _no_plain_logits(info: ModelInfo) -> str:
    if info.traits.plain_logits:
        return ""
    return (
        f"The logits of {info.name} are not W_U times its final norm, a LayerNorm or RMS norm with "
        "a weight, so parts of a logit would not add up to it. Choose another model."
    )


def _no_readable_stream(info: ModelInfo) -> str:
    if info.traits.readable_stream:
        return ""
    return (
        f"The logits of {info.name} are not its final norm times W_U with at most a soft cap, so a "
        "stream in between cannot be read as they are. Choose another model."
    )


def _no_pattern_edits(info: ModelInfo) -> str:
    if info.traits.pattern_edits:
        return ""
    return (
        f"In {info.name} what is put in the place of a pattern does not reach what follows, so "
        "changing one would show nothing. Patch or ablate z instead."
    )


def _no_mlps(info: ModelInfo) -> str:
    if not info.has_mlp:
        return f"{info.name} has attention only: no MLPs, so no neurons. Choose a model with MLPs."
    if info.traits.neurons:
        return ""
    return (
        f"In {info.name} what MLPs write is not the neurons that can be seen times W_out, as with "
        "experts, so no neuron has an output of its own. Choose another model."
    )


def _one_layer(info: ModelInfo) -> str:
    if info.n_layers > 1:
        return ""
    return f"{info.name} has one layer, so no head can read another. Choose a deeper model."


def _no_bos(info: ModelInfo) -> str:
    if info.has_bos:
        return ""
    start = f"the token {info.start}" if info.start else "another of its special tokens"
    return (
        f"{info.name} has no BOS token: a prompt begins with its own first token, and repeated "
        f"tokens with {start}."
    )


def _no_score_by_position(info: ModelInfo) -> str:
    return _no_position_vectors(info, "a score by token or by position")


def _no_score_by_component(info: ModelInfo) -> str:
    if info.positions == "alibi" or info.traits.scores == "other":
        return (
            f"{info.name} does more to its scores than to norm, turn, scale and bend products of "
            "queries and keys, so they cannot be worked out from these. Choose another model."
        )
    if not info.traits.turns_seen:
        return (
            f"How {info.name} norms and turns queries and keys before they meet cannot be seen "
            "head by head, so its scores cannot be worked out from them. Choose another model."
        )
    return ""


def _no_plain_reads(info: ModelInfo) -> str:
    if info.traits.plain_reads:
        return ""
    return (
        f"The queries, keys and values of {info.name} are not what a norm right before attention "
        "leaves, times W, so what a path carries is not known. Choose another model."
    )


def _window_note(info: ModelInfo) -> str:
    shorter = f"Up to {info.n_ctx:,} tokens. {info.shorter}" if info.shorter else ""
    return " ".join(filter(None, (shorter, "" if info.traits.rows_sum_to_1 else SINK)))


def _group_note(info: ModelInfo) -> str:
    shared = info.n_heads // info.n_kv_heads if info.n_kv_heads else 1
    return f"{shared} heads share each key and value." if shared > 1 else ""


def _nothing(info: ModelInfo) -> str:
    return ""


_LOOKS = "Patterns, head scores"
# Defined for encoders too.
_OF_ENCODERS = (_LOOKS,)
# Of encoders with a head for masked tokens.
_OF_MASKED = ("Loss", "Ablation, patching of activations")
_ANALYSES: tuple[tuple[str, tuple[Refusal, ...], Callable[[ModelInfo], str]], ...] = (
    ("BOS in front of the input", (_no_bos,), _nothing),
    (_LOOKS, (), _window_note),
    ("Loss", (), _nothing),
    ("Logit lens", (_no_readable_stream,), _nothing),
    ("Ablation, patching of activations", (), _group_note),
    ("Patching of patterns", (_no_pattern_edits,), _nothing),
    ("Neurons", (_no_mlps,), _nothing),
    ("Value-weighted patterns", (_no_source_writes,), _nothing),
    ("Attribution to a logit, by head and source", (_no_head_writes, _no_plain_logits), scale_note),
    (
        "Paths between heads, circuits of a prediction",
        (_no_head_writes, _no_plain_reads),
        write_note,
    ),
    ("OV circuits", (_no_head_writes, _no_foldable_norms), _nothing),
    ("V-composition", (_no_head_writes, _no_foldable_norms, _one_layer), _nothing),
    (
        "Q- and K-composition",
        (_no_head_writes, _no_fixed_qk, _no_foldable_norms, _one_layer),
        rotary_note,
    ),
    (
        "QK by token or position",
        (_no_score_by_position, _no_head_writes, _no_foldable_norms),
        _nothing,
    ),
    (
        "Scores by component",
        (_no_score_by_component, _no_head_writes, _no_foldable_norms),
        _nothing,
    ),
)
