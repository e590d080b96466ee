"""The definition of every quantity: written once, shown on pages, cited by the functions.

Free of torch, so that a page can explain a figure before it has been computed.
"""

from dataclasses import dataclass
from typing import Literal, get_args


@dataclass(frozen=True, slots=True)
class Definition:
    """One quantity: its name, what it means in one sentence, formula, range or unit, and source."""

    name: str
    meaning: str
    formula: str
    unit: str
    source: str


LOSS = Definition(
    "Next-token loss",
    "How surprised the model is by each token that comes, averaged.",
    "loss = mean over i of -log p(token[i+1] | token[0..i])",
    "nats per token, 0 is perfect, ln(d_vocab) is a uniform guess",
    "ARENA 1.2, sections 1.2 and 1.4",
)
PATTERN = Definition(
    "Attention pattern",
    "How a head at the destination (query) spreads its attention over earlier sources (keys).",
    "pattern[dest, src] = softmax over src <= dest of q[dest] · k[src] / sqrt(d_head)",
    "0 to 1, every row sums to 1",
    "ARENA 1.2, sections 1.5 to 1.7",
)
HALF_LOSS = Definition(
    "Loss on both halves of repeated tokens",
    "The first half is random; from its second token on, the second half can be copied.",
    "first = mean over entries 0..S-1, second = mean over entries S+1..2S-1; entry i scores "
    "token i+1, so entry S (the first repeated token, which nothing predicts) is in neither",
    "nats per token",
    "ARENA 1.2, section 2.5, with the unpredictable entry left out",
)
ATTRIBUTION = Definition(
    "Direct logit attribution",
    "What each component, by what it wrote to the residual stream, adds to a token's logit.",
    "value[pos, component] = write[pos] · W_U[:, token], after the final norm with its scale held "
    "fixed; the sum over components is the logit minus the unembedding bias b_U",
    "logits",
    "ARENA 1.2, section 3.4; TransformerLens, direct_logit_attribution",
)
ABLATION = Definition(
    "Ablation effect",
    "How much the loss rises when one head's output is replaced; the head is needed if it rises.",
    "effect[layer, head] = loss with z[:, :, head] replaced - loss as it is; "
    "zero: by 0, mean: by its mean over the sequences at each position",
    "nats per token; over the predictable entries S+1..2S-1 of repeated tokens, else over all",
    "ARENA 1.2, sections 3.7 and 3.8",
)

ScoreName = Literal["current", "previous", "first", "duplicate", "induction", "entropy"]
SCORE_NAMES: tuple[ScoreName, ...] = get_args(ScoreName)
# The scores that are a share of attention: all but entropy.
TARGETED: tuple[ScoreName, ...] = SCORE_NAMES[:-1]

SCORES: dict[ScoreName, Definition] = {
    "current": Definition(
        "Current-token score",
        "Mean attention of a token to itself.",
        "mean over dest of pattern[dest, dest]",
        "0 to 1",
        "ARENA 1.2, section 2.2",
    ),
    "previous": Definition(
        "Previous-token score",
        "Mean attention to the token just before.",
        "mean over dest >= 1 of pattern[dest, dest-1]",
        "0 to 1",
        "ARENA 1.2, section 2.2",
    ),
    "first": Definition(
        "First-token score",
        "Mean attention to position 0, where heads rest when they have nothing to do.",
        "mean over dest of pattern[dest, 0]",
        "0 to 1",
        "ARENA 1.2, section 2.2",
    ),
    "duplicate": Definition(
        "Duplicate-token score",
        "Mean attention of a repeated token to its earlier copies.",
        "mean, over dest whose token occurred before, of the sum of pattern[dest, src] over those "
        "src; on repeated tokens src = dest-S, dest = S+1..2S",
        "0 to 1",
        "ARENA 1.2, section 2.8; Olsson et al. 2022",
    ),
    "induction": Definition(
        "Induction score",
        "Mean attention of a repeated token to the token that followed its earlier copies.",
        "mean, over dest whose token occurred before, of the sum of pattern[dest, src+1] over "
        "those src (src+1 < dest); on repeated tokens src+1 = dest-(S-1), dest = S+1..2S",
        "0 to 1",
        "ARENA 1.2, sections 2.8 and 3.2; Olsson et al. 2022",
    ),
    "entropy": Definition(
        "Attention entropy",
        "How widely attention is spread: 0 for one source, ln(n) for n sources alike.",
        "mean over dest of -sum over src of pattern * ln(pattern)",
        "nats",
        "Shannon 1948",
    ),
}

CHANCE = (
    "Chance level: the same score for a head that spreads its attention evenly over all positions "
    "up to the destination, on the same tokens."
)
COURSE_STRIPE = Definition(
    "Induction stripe, as the course averages it",
    "The whole diagonal S-1 below the main one, with two cells that cannot be induction.",
    "mean over dest >= S-1 of pattern[dest, dest-(S-1)]",
    "0 to 1; a perfect induction head that rests on BOS reaches (S+1)/(S+2)",
    "ARENA 1.2, section 3.2",
)
