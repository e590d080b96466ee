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


TOKENS = Definition(
    "Tokens",
    "The pieces that a tokenizer cuts text into; the model sees their numbers and nothing else.",
    "ids = [BOS] + tokenizer(text); text = the pieces of the ids, one after the other",
    "ids from 0 to d_vocab - 1",
    "ARENA 1.2, section 1.3",
)
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
FROZEN_SCALE = (
    "This model has a LayerNorm before the unembedding. Its scale is frozen at the value it had at "
    "each position: otherwise the logit would not be a sum over components."
)
SOURCE_ATTRIBUTION = Definition(
    "One head's logit attribution by source token",
    "Which tokens the head reads what it adds to a logit from.",
    "value[dest, src] = pattern[dest, src] * (v[src] W_O · W_U[:, token]), after the final norm "
    "with its scale held fixed; the sum over src is the head's direct logit attribution at dest",
    "logits",
    "ARENA 1.2, section 3.4, with z = sum over src of pattern * v written out",
)
LENS = Definition(
    "Logit lens",
    "What the model would predict if it stopped after each layer.",
    "p[depth, pos] = softmax(norm(resid[depth, pos]) W_U + b_U), with the model's own final norm; "
    "after the last layer it is the model's own prediction",
    "probability, 0 to 1; early streams were never trained to be read like this",
    "nostalgebraist 2020",
)
ABLATION = Definition(
    "Ablation effect",
    "How much the loss rises when one head's output is replaced; the head is needed if it rises.",
    "effect[layer, head] = loss with z[:, :, head] replaced - loss as it is; "
    "zero: by 0, mean: by its mean over the sequences at each position, resample: by its z in "
    "another sequence",
    "nats per token; over the predictable entries S+1..2S-1 of repeated tokens, else over all",
    "ARENA 1.2, sections 3.7 and 3.8",
)
ABLATION_ESTIMATE = Definition(
    "Estimated ablation effect",
    "What ablating a head would do if the loss were a straight line between its output and the "
    "replacement.",
    "estimate[layer, head] = sum over sequences, positions and d_head of "
    "d loss / d z · (replacement - z)",
    "nats per token; off where attention or the prediction is saturated",
    "Nanda 2023, attribution patching",
)
JOINT_ABLATION = Definition(
    "Joint effect of heads",
    "Whether losing several heads at once costs more, or less, than all their losses together.",
    "excess = effect of ablating them together - sum of the effects of each alone; replacements "
    "are those of the model as it is",
    "nats per token; above 0: each covers for the others, below 0: parts of one mechanism",
    "first-order interaction of the ablation effect",
)
PATCHING = Definition(
    "Activation patching",
    "How much of the clean prompt's answer comes back when one of its activations is put into the "
    "corrupt run.",
    "value = (m - m_corrupt) / (m_clean - m_corrupt), m = logit[answer] - logit[foil] at the last "
    "position",
    "share: 0 nothing, 1 all of the difference; below 0 or above 1 is possible",
    "Meng et al. 2022; Wang et al. 2022",
)
ATTRIBUTION_PATCHING = Definition(
    "Attribution patching",
    "Activation patching as it would be if the logit difference were linear in the activation.",
    "value = sum of (clean - corrupt activation) · d m / d activation, divided by "
    "m_clean - m_corrupt; the gradient is that of the corrupt run",
    "share, an estimate: off where attention is saturated",
    "Nanda 2023",
)
PATH_PATCHING = Definition(
    "Path patching",
    "How much of the answer comes back along one edge, from a head to one input of a later head.",
    "activation patching of the reader's q, k or v, worked out from the corrupt stream with the "
    "writer's z W_O exchanged for the clean one",
    "share, as in activation patching",
    "Wang et al. 2022; Goldowsky-Dill et al. 2023",
)
EDGE_ATTRIBUTION = Definition(
    "Edge attribution",
    "What cutting the direct path from a head to a later head's q, k or v, or to the logits, would "
    "do to the loss.",
    "score = sum of d loss / d (the reader's own copy of the stream) · (replacement - z) W_O of "
    "the writer",
    "nats per token, an estimate; above 0 the edge helps",
    "Syed et al. 2023",
)
FAITHFULNESS = Definition(
    "Faithfulness of a circuit",
    "How much of what all edges between heads do is done by the ones that are kept.",
    "recovered = (loss without edges - loss with the kept ones) / (loss without edges - loss as it "
    "is); embeddings, biases, MLPs and what heads write to MLPs stay",
    "share: 0 nothing, 1 all of it",
    "Wang et al. 2022; Conmy et al. 2023",
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

DISTANCE_PROFILE = Definition(
    "Attention by distance",
    "How much of its attention a head puts how far back.",
    "mean over dest of pattern[dest, dest-d]; on repeated tokens dest = S+1..2S, so that d = S-1 "
    "is the induction stripe and d = S the earlier copy itself",
    "0 to 1",
    "ARENA 1.2, section 2.8",
)
RESTING = Definition(
    "Resting on the first token",
    "An induction head with nothing to copy rests on position 0, and leaves it for a match.",
    "first half: mean over dest 1..S of pattern[dest, 0]; second half: mean over dest S+1..2S",
    "0 to 1",
    "ARENA 1.2, section 2.8",
)

SIMILARITY = Definition(
    "Distance between score profiles",
    "How differently two heads score; heads of a small distance do alike things on these tokens.",
    "d(a, b) = sqrt(sum over scores of ((score[a] - score[b]) / sd)^2), sd over all heads of the "
    "model; scores that are unknown or the same for every head are left out",
    "standard deviations, 0 for the same profile; typical for two heads: sqrt(2 * scores)",
    "Headscope; Euclidean distance of z-scores",
)

OV_CIRCUIT = Definition(
    "OV circuit",
    "What attending to one token adds to the logit of every other: what the head moves.",
    "value[t, u] = (W_E W_V W_O W_U)[t, u], summed over heads when several are taken jointly",
    "logits; biases left out",
    "ARENA 1.2, section 4.2; Elhage et al. 2021",
)
COPYING = Definition(
    "Copying accuracy",
    "Share of tokens that a head raises most (or among the k most) when it attends to them.",
    "accuracy_k = share of tokens t with fewer than k others u where M[t, u] >= M[t, t], "
    "M = W_E W_V W_O W_U, over the whole vocabulary, special tokens included; a tie is a miss",
    "0 to 1, chance k / d_vocab",
    "ARENA 1.2, sections 4.3 and 4.4",
)
EIGENVALUES = Definition(
    "Eigenvalue copying score",
    "Whether a head writes back what it reads (+1), its opposite (-1), or something else (0).",
    "score = sum of Re(lambda) / sum of |lambda| over the eigenvalues of W_V W_O, or of "
    "W_E W_V W_O W_U for the score through the vocabulary, the one that says whether tokens are "
    "copied when embedding and unembedding are not tied",
    "-1 to 1",
    "Elhage et al. 2021; ARENA 1.2",
)
OV_DIRECTIONS = Definition(
    "Singular directions of OV",
    "The few directions through which most of what a head moves passes, as tokens.",
    "W_V W_O = sum over i of S[i] u[i] v[i]^T; tokens read: W_E u[i], tokens written: W_U^T v[i]",
    "S relative to each other; tokens read in embedding units, written in logits per unit",
    "ARENA 1.2, section 4.1",
)
FACTORED_MATRIX = Definition(
    "Factored matrix",
    "A product kept as its two thin factors; whatever is asked of it is computed from those.",
    "W_E W_V W_O W_U = A B with A = W_E W_V [d_vocab, d_head] and B = W_O W_U [d_head, d_vocab]: "
    "2 d_vocab d_head numbers for d_vocab^2",
    "bytes of float32; flops, a multiplication and an addition counted as 2",
    "ARENA 1.2, section 4.1; TransformerLens, FactoredMatrix",
)
POSITIONAL_PATTERN = Definition(
    "Positional QK circuit",
    "Where a head would attend if it saw positions only.",
    "pattern = softmax over src <= dest of W_pos W_Q W_K^T W_pos^T / sqrt(d_head); the score is "
    "the mean of pattern[dest, dest-1]",
    "0 to 1, every row sums to 1; learned positions only",
    "ARENA 1.2, section 4.5",
)
TOKEN_PREFERENCES = Definition(
    "Token-to-token QK circuit",
    "Which keys a token looks for, and which queries look for it, from embeddings alone.",
    "score[q, k] = (W_E W_Q W_K^T W_E^T)[q, k] / sqrt(d_head)",
    "attention score before softmax; only differences between keys of one query count",
    "ARENA 1.2, section 4.0",
)
K_COMPOSITION_CIRCUIT = Definition(
    "Full K-composition circuit",
    "Whether a token's query finds the key that an earlier head wrote about that same token.",
    "C = (W_E W_Q[reader]) (W_E W_V[writer] W_O[writer] W_K[reader])^T; best key for each query: "
    "share of rows whose diagonal entry is among the k largest; best query for each key: the same "
    "for columns",
    "0 to 1, chance k / d_vocab",
    "ARENA 1.2, section 4.8, both directions",
)
COMPOSITION = Definition(
    "Composition score",
    "How far the subspace that a head writes overlaps the one that a later head reads.",
    "score = |W_A W_B| / (|W_A| |W_B|), Frobenius norms; W_A = W_V W_O of the earlier head, W_B of "
    "the later one: W_Q W_K^T for Q, W_K W_Q^T for K, W_V W_O for V",
    "0 to 1; random pairs give about 1/sqrt(d_model)",
    "Elhage et al. 2021; ARENA 1.2, sections 4.9 to 4.13",
)
COMPOSITION_BASELINE = Definition(
    "Composition of random pairs",
    "The score that heads of the same shape with random weights would have.",
    "mean and standard deviation over seeded draws of four normal matrices [d_model, d_head]; "
    "closed form 1/sqrt(d_model)",
    "composition score",
    "ARENA 1.2, section 4.10",
)
DECOMPOSITION = Definition(
    "Queries and keys by component",
    "Which earlier component a head's query or key comes from, and which pairs decide attention.",
    "q = sum over components of write W_Q (likewise k), LayerNorm's scale held fixed; "
    "std[a, b] = standard deviation over dest >= src of q_a[dest] · k_b[src] / sqrt(d_head)",
    "norms in activation units, scores before softmax",
    "ARENA 1.2, sections 4.6 and 4.7; there, positions ahead are counted too",
)
SCORE_SPLIT = Definition(
    "One attention score by component",
    "Why a destination scores one source as it does.",
    "query side: q_a[dest] · k[src] / sqrt(d_head); key side: q[dest] · k_b[src] / sqrt(d_head); "
    "each sums to the score",
    "attention score before softmax",
    "ARENA 1.2, section 4.7",
)
TRANSITION = Definition(
    "Transition",
    "When induction heads form: over few steps, and with them the loss on what repeats falls.",
    "the first measured step at which the largest induction score of all heads is at least half of "
    "what it is at the last step",
    "training step; as exact as the steps that were measured are close",
    "Olsson et al. 2022, phase change; the half is our convention",
)
TARGETED_ABLATION = Definition(
    "Targeted ablation",
    "How a head's induction stripe changes when one earlier head is silenced.",
    "change[source] = induction score of the target with the source's z set to 0 - its score as it "
    "is",
    "change of a share of attention, -1 to 1",
    "ARENA 1.2, section 4.14",
)
KEEP_ONLY = Definition(
    "Loss with only some heads",
    "How much of the task the chosen heads carry when all others are silenced.",
    "loss with z[:, :, head] = 0 for every head that is not kept; embeddings, biases and MLPs stay",
    "nats per token; over the predictable entries S+1..2S-1 of repeated tokens, else over all",
    "ARENA, 2023 edition, complement ablation",
)
OFFSET_ABLATION = Definition(
    "Distances a head needs",
    "How much the loss rises when a head may read values only at some distances.",
    "z[dest] = sum over src of pattern[dest, src] v~[src], v~ = v where dest - src is kept, else "
    "the mean of v over sequences at src; effect = loss with that z - loss as it is",
    "nats per token",
    "ARENA 1.2, section 3.10",
)
ACTIVATION = Definition(
    "Activation",
    "A tensor that the model computes on the way from tokens to logits, read at a hook point.",
    'cache["q", 0] is short for cache["blocks.0.attn.hook_q"]; resid_post = resid_pre + attn_out '
    "+ mlp_out",
    "activation units; axes batch, pos, then head and d_head, d_model, d_mlp or d_vocab",
    "ARENA 1.2, section 1.5; TransformerLens naming",
)
PARAMETER = Definition(
    "Parameter",
    "A weight that training has set; it is the same for every input.",
    "weights multiply on the right: new = old @ W, q = norm(resid_pre) @ W_Q + b_Q",
    "no unit",
    "ARENA 1.2, section 1.1; TransformerLens naming",
)
PAIR_ABLATION = Definition(
    "Ablation effect on pairs",
    "How much a head matters where only two tokens in a row repeat; one that matters on full "
    "repeats alone looks for longer matches.",
    "mean ablation of each head on BOS, r_1..r_S, then pairs of neighbours r_i r_i+1 in random "
    "order, over the second token of each pair",
    "nats per token",
    "ARENA 1.2, section 3.10; here no pair continues the one before it",
)
PATTERN_CHECK = Definition(
    "Pattern worked out by hand",
    "The attention pattern from queries and keys, to compare with the one the model used.",
    "softmax over src <= dest of q[dest] · k[src] / sqrt(d_head)",
    "0 to 1; the difference should be rounding only, about 1e-6",
    "ARENA 1.2, section 1.6",
)
NEURON_ACTIVATION = Definition(
    "Neuron activation",
    "How strongly a neuron of the MLP fires at a position.",
    "value[pos, neuron] = act(norm(resid_mid[pos]) · W_in[:, neuron] + b_in[neuron])",
    "activation units; with GELU about -0.17 upwards",
    "ARENA 1.2, section 1.7",
)
NEURON_TOKENS = Definition(
    "Tokens a neuron promotes",
    "The tokens whose logits rise when the neuron fires, along the direct path.",
    "value[token] = W_out[neuron] · W_U[:, token], the final norm's weight folded in",
    "logits per unit of activation",
    "Geva et al. 2022",
)

# What a head's profile holds, where the model and the input allow it.
PROFILE: dict[str, Definition] = {str(name): score for name, score in SCORES.items()}
PROFILE |= {"eigenvalue": EIGENVALUES, "copying": COPYING, "ablation": ABLATION}
