"""Why something cannot be said of a model, as a sentence; empty where it can.

What decides is what a loaded model was found to do (`ModelInfo.traits`), not the name of its
architecture.
"""

from analysis.definitions import FROZEN_SCALE
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


def encoder_reason(info: ModelInfo, what: str) -> str:
    """Why something is not defined for an encoder, as a sentence; empty for other models."""
    if not info.bidirectional:
        return ""
    return (
        f"{what} needs a model that predicts each token from those before it; {info.name} is an "
        "encoder, whose tokens see those after them too. Choose another model, or look at this "
        "one on Attention, Finder and Head."
    )


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


def no_head_writes(info: ModelInfo) -> str:
    """Why no head has a write of its own."""
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


def no_source_writes(info: ModelInfo) -> str:
    """Why what a head writes of one source does not exist."""
    if not info.traits.heads_write:
        return no_head_writes(info)
    if info.traits.post_norm:
        return (
            f"{info.name} has a norm after its heads, so what a head writes of one source does not "
            "exist. Choose another model."
        )
    return no_seen_values(info)


def no_seen_values(info: ModelInfo) -> str:
    """Why what a head moves from one source is not known."""
    if info.traits.values_seen:
        return ""
    return (
        f"In {info.name} a head's z is not its values averaged by its pattern: a clip, a norm or "
        "another step lies between, so what it moves from one source is not known. Choose another "
        "model."
    )


def no_source_effects(info: ModelInfo) -> str:
    """Why what a head writes of one source adds nothing of its own to a logit."""
    return no_source_writes(info) or no_head_writes(info) or no_plain_logits(info)


def no_position_vectors(info: ModelInfo, wanted: str) -> str:
    """Why there are no position vectors, which `wanted` needs."""
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


def no_fixed_qk(info: ModelInfo) -> str:
    """Why no fixed matrix says what a head looks for."""
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


def no_foldable_norms(info: ModelInfo) -> str:
    """Why norms cannot be multiplied into the weights after them."""
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


def no_plain_logits(info: ModelInfo) -> str:
    """Why parts of a logit do not add up to it."""
    if info.traits.plain_logits:
        return ""
    return (
        f"The logits of {info.name} are not W_U times its final norm, a LayerNorm or RMS norm with "
        "a weight, so parts of a logit would not add up to it. Choose another model."
    )


def no_readable_stream(info: ModelInfo) -> str:
    """Why a stream in between cannot be read as the logits are."""
    if info.traits.readable_stream:
        return ""
    return (
        f"The logits of {info.name} are not its final norm times W_U with at most a soft cap, so a "
        "stream in between cannot be read as they are. Choose another model."
    )


def no_pattern_edits(info: ModelInfo) -> str:
    """Why another pattern changes nothing."""
    if info.traits.pattern_edits:
        return ""
    return (
        f"In {info.name} what is put in the place of a pattern does not reach what follows, so "
        "changing one would show nothing. Patch or ablate z instead."
    )


def no_mlps(info: ModelInfo) -> str:
    """Why there are no neurons."""
    if not info.has_mlp:
        return f"{info.name} has attention only: no MLPs, so no neurons. Choose a model with MLPs."
    if info.traits.neurons:
        return ""
    return (
        f"In {info.name} what MLPs write is not the neurons that can be seen times W_out, as with "
        "experts, so no neuron has an output of its own. Choose another model."
    )


def one_layer(info: ModelInfo) -> str:
    """Why no head reads another."""
    if info.n_layers > 1:
        return ""
    return f"{info.name} has one layer, so no head can read another. Choose a deeper model."


def no_bos(info: ModelInfo) -> str:
    """Why no input begins with a BOS token."""
    if info.has_bos:
        return ""
    start = f"the token {info.start}" if info.start else "another of its special tokens"
    return (
        f"{info.name} has no BOS token: a prompt begins with its own first token, and repeated "
        f"tokens with {start}."
    )


def no_score_by_position(info: ModelInfo) -> str:
    """Why a score has no parts by token and by position."""
    return no_position_vectors(info, "a score by token or by position")


def no_score_by_component(info: ModelInfo) -> str:
    """Why scores cannot be worked out from queries and keys."""
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


def no_plain_reads(info: ModelInfo) -> str:
    """Why what a path carries is not known."""
    if info.traits.plain_reads:
        return ""
    return (
        f"The queries, keys and values of {info.name} are not what a norm right before attention "
        "leaves, times W, so what a path carries is not known. Choose another model."
    )


def window_note(info: ModelInfo) -> str:
    """What to know of patterns and scores: how long a text may be, and a sink."""
    shorter = f"Up to {info.n_ctx:,} tokens. {info.shorter}" if info.shorter else ""
    return " ".join(filter(None, (shorter, "" if info.traits.rows_sum_to_1 else SINK)))


def group_note(info: ModelInfo) -> str:
    """How many heads share each key and value, where some do."""
    shared = info.n_heads // info.n_kv_heads if info.n_kv_heads else 1
    return f"{shared} heads share each key and value." if shared > 1 else ""


def nothing(info: ModelInfo) -> str:
    """There is nothing to know."""
    return ""
