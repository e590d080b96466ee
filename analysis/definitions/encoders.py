"""What heads of an encoder attend to, where tokens look both ways."""

from analysis.definitions import scores
from analysis.definitions.quantity import Quantity

NEXT = Quantity(
    "Next-token score",
    "Mean attention to the token just after, in an encoder.",
    "mean over dest < n-1 of pattern[dest, dest+1]",
    "0 to 1",
    "Clark et al. 2019, What does BERT look at?",
    function="encoder_scores",
)
COPIES = Quantity(
    "Other-copies score",
    "Mean attention of a token that stands there more than once to its other copies, in an "
    "encoder: those before and after it.",
    "mean, over dest whose token stands elsewhere too, of the sum of pattern[dest, src] over those "
    "src; separators are left out",
    "0 to 1",
    "Headscope; the duplicate-token score of decoders, both ways",
    function="encoder_scores",
)
SEPARATOR = Quantity(
    "Separator score",
    "Mean attention of the other tokens to those that frame a text, such as [CLS] and [SEP], where "
    "heads of an encoder rest.",
    "mean, over dest that is no such token, of the sum of pattern[dest, src] over those src",
    "0 to 1",
    "Clark et al. 2019, What does BERT look at?",
    function="encoder_scores",
)
MASKED_LOSS = Quantity(
    "Loss of masked tokens",
    "How badly an encoder predicts a token that is masked, on average over the tokens of a text, "
    "each masked by itself.",
    "mean over positions p of -ln P(token p | the text with [MASK] at p); separators are left out",
    "nats per token, at least 0; a uniform guess has ln(d_vocab)",
    "Salazar et al. 2020, Masked Language Model Scoring",
    function="masked_loss",
)
MASKED_ABLATION = Quantity(
    "Rise of that loss without a head",
    "How much the loss of masked tokens rises when what a head of an encoder writes is replaced.",
    "loss of masked tokens with z of the head replaced at every position - that loss as it is",
    "nats per token",
    "ARENA 1.2, section 3.7, for masked tokens",
    function="masked_ablation",
)
CHANCE_BOTH_WAYS = (
    "Chance level: the same score for a head that spreads its attention evenly over all tokens, "
    "before and after, of the same text."
)
# What is said of every head of an encoder, in this order.
ENCODER_SCORES: dict[str, Quantity] = {
    "previous": scores.PREVIOUS,
    "next": NEXT,
    "current": scores.CURRENT,
    "copies": COPIES,
    "separator": SEPARATOR,
    "entropy": scores.ENTROPY,
}
