"""Every score of a head, in the order in which pages list them.

Each constant here that is a `Score` is one: pages, results, the glossary and the code that they
offer find it by that. CONTRIBUTING.md says how to add one.
"""

import numpy as np
from jaxtyping import Bool, Float

from analysis.definitions.score import Score
from analysis.tokens import Tokens


def _itself(tokens: Tokens) -> Bool[np.ndarray, "batch dest src"]:
    return _in_each(tokens, np.eye(tokens.length, dtype=bool))


def _the_one_before(tokens: Tokens) -> Bool[np.ndarray, "batch dest src"]:
    return _in_each(tokens, np.eye(tokens.length, k=-1, dtype=bool))


def _position_0(tokens: Tokens) -> Bool[np.ndarray, "batch dest src"]:
    return _in_each(tokens, np.arange(tokens.length) == 0)


def _earlier_copies(tokens: Tokens) -> Bool[np.ndarray, "batch dest src"]:
    if tokens.half_length is not None:
        # The stripe itself: also right for tokens that were drawn with replacement.
        stripe = np.eye(tokens.length, k=-tokens.half_length, dtype=bool)
        stripe[: tokens.half_length + 1] = False
        return _in_each(tokens, stripe)
    same = tokens.ids[:, :, None] == tokens.ids[:, None, :]
    return same & np.tri(tokens.length, k=-1, dtype=bool)


def _after_earlier_copies(tokens: Tokens) -> Bool[np.ndarray, "batch dest src"]:
    after = np.zeros((tokens.batch, tokens.length, tokens.length), dtype=bool)
    after[:, :, 1:] = _earlier_copies(tokens)[:, :, :-1]
    # When a token comes twice in a row, "the one after its earlier copy" is itself.
    return after & np.tri(tokens.length, k=-1, dtype=bool)


def _in_each(tokens: Tokens, mask: np.ndarray) -> Bool[np.ndarray, "batch dest src"]:
    """The same mask [dest, src] in each sequence."""
    return np.broadcast_to(mask, (tokens.batch, tokens.length, tokens.length))


def _entropy(
    values: Float[np.ndarray, "batch layer head dest src"],
) -> Float[np.ndarray, "batch layer head"]:
    # x ln x tends to 0, and so does this floor of it.
    information = -(values * np.log(np.maximum(values, 1e-30))).sum(-1)
    return np.asarray(information.mean(-1), dtype=np.float32)


def _distance(
    values: Float[np.ndarray, "batch layer head dest src"],
) -> Float[np.ndarray, "batch layer head"]:
    places = np.arange(values.shape[-1])
    back = np.maximum(places[:, None] - places, 0)
    return np.asarray((values * back).sum(-1).mean(-1), dtype=np.float32)


CURRENT = Score(
    "Current-token score",
    "Mean attention of a token to itself.",
    "mean over dest of pattern[dest, dest]",
    "0 to 1",
    "ARENA 1.2, section 2.2",
    key="current",
    targets=_itself,
    code="result = attention_on(torch.eye(tokens.shape[1], dtype=bool).expand_as(earlier_copies))",
)
PREVIOUS = Score(
    "Previous-token score",
    "Mean attention to the token just before.",
    "mean over dest >= 1 of pattern[dest, dest-1]",
    "0 to 1",
    "ARENA 1.2, section 2.2",
    key="previous",
    targets=_the_one_before,
    code="""
stripe = torch.ones(tokens.shape[1], tokens.shape[1], dtype=bool).tril(-1).triu(-1)
result = attention_on(stripe.expand_as(earlier_copies))
""",
)
FIRST = Score(
    "First-token score",
    "Mean attention to position 0, where heads rest when they have nothing to do.",
    "mean over dest of pattern[dest, 0]",
    "0 to 1",
    "ARENA 1.2, section 2.2",
    key="first",
    targets=_position_0,
    code="result = attention_on((torch.arange(tokens.shape[1]) == 0).expand_as(earlier_copies))",
)
DUPLICATE = Score(
    "Duplicate-token score",
    "Mean attention of a repeated token to its earlier copies.",
    "mean, over dest whose token occurred before, of the sum of pattern[dest, src] over those "
    "src; on repeated tokens src = dest-S, dest = S+1..2S",
    "0 to 1",
    "ARENA 1.2, section 2.8; Olsson et al. 2022",
    key="duplicate",
    targets=_earlier_copies,
    code="result = attention_on(earlier_copies)",
)
INDUCTION = Score(
    "Induction score",
    "Mean attention of a repeated token to the token that followed its earlier copies.",
    "mean, over dest whose token occurred before, of the sum of pattern[dest, src+1] over "
    "those src (src+1 < dest); on repeated tokens src+1 = dest-(S-1), dest = S+1..2S",
    "0 to 1",
    "ARENA 1.2, sections 2.8 and 3.2; Olsson et al. 2022",
    key="induction",
    targets=_after_earlier_copies,
    code="""
after = torch.zeros_like(earlier_copies)
after[:, :, 1:] = earlier_copies[:, :, :-1]
result = attention_on(after.tril(-1))
""",
)
ENTROPY = Score(
    "Attention entropy",
    "How widely attention is spread: 0 for one source, ln(n) for n sources alike.",
    "mean over dest of -sum over src of pattern * ln(pattern)",
    "nats",
    "Shannon 1948",
    key="entropy",
    measure=_entropy,
    needs=("run", "pattern"),
    code="result = -(pattern * pattern.clamp(min=1e-30).log()).sum(-1).mean((0, -1))",
)
DISTANCE = Score(
    "Mean attention distance",
    "How many tokens a head looks back on average; rest on the first token counts as far.",
    "mean over dest of sum over src of pattern[dest, src] * (dest - src)",
    "tokens",
    "Vig and Belinkov 2019",
    key="distance",
    measure=_distance,
    needs=("run", "pattern"),
    code="""
places = torch.arange(pattern.shape[-1])
back = (places[:, None] - places).clamp(min=0)
result = (pattern * back).sum(-1).mean((0, -1))
""",
)
