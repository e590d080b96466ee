"""How much is run in one go: so little that others get their turn, and a cancel is soon heard."""

from collections.abc import Iterator, Sequence

from analysis.limits import OPERATIONS_A_SECOND
from analysis.models.info import ModelInfo

# More tokens in one go gain nothing on a CPU (measured on 64 to 8,000 with small models) and cost
# memory.
TOKENS_AT_ONCE = 1024
# Runs share a batch up to so many tokens: their values come together, the most needed head's not
# before the others'.
TOKENS_TOGETHER = 256
# Half a second.
OPERATIONS_AT_ONCE = OPERATIONS_A_SECOND / 2


def rows_at_once(info: ModelInfo, length: int) -> int:
    """How many sequences of so many tokens go through the whole model in one go."""
    return max(1, _tokens_at_once(info) // length)


def pieces(info: ModelInfo, tokens: int, layers: Sequence[int]) -> Iterator[slice]:
    """Consecutive runs of so many tokens each, from these layers on, that share a batch."""
    start, work = 0, 0.0
    for at, layer in enumerate(layers):
        more = tokens * info.share_from(layer)
        full = (at + 1 - start) * tokens > TOKENS_TOGETHER or work + more > _tokens_at_once(info)
        if at > start and full:
            yield slice(start, at)
            start, work = at, 0.0
        work += more
    if start < len(layers):
        yield slice(start, len(layers))


def _tokens_at_once(info: ModelInfo) -> int:
    return min(TOKENS_AT_ONCE, int(OPERATIONS_AT_ONCE / info.operations))
