"""How much is run in one go: so little that others get their turn, and a cancel is soon heard."""

from collections.abc import Iterator, Sequence

from analysis.models.info import ModelInfo

# More tokens in one batch gain nothing on a CPU (measured on 64 to 8,000 with small models), cost
# memory, and let values come in bursts: the most needed heads come first only as far as a batch is
# small.
TOKENS_AT_ONCE = 256
# Half a second of one core of 2023. On SmolLM2 these are 185 tokens, and a sweep takes a tenth
# longer than in batches of any size.
OPERATIONS_AT_ONCE = 5e10
# Numbers in one batch of logits: 32 MiB.
LOGITS_AT_ONCE = 2**23


def share_from(info: ModelInfo, layer: int) -> float:
    """Share of a whole run's operations that a layer, all after it and the unembedding take."""
    return 1 - layer / info.n_layers * (1 - info.d_vocab * info.d_model / _weights(info))


def rows_at_once(info: ModelInfo, length: int) -> int:
    """How many sequences of so many tokens go through the whole model in one go."""
    return max(1, _tokens_at_once(info) // length)


def pieces(info: ModelInfo, tokens: int, layers: Sequence[int]) -> Iterator[slice]:
    """Consecutive runs of so many tokens each, from these layers on, as many as go in one go."""
    start, work = 0, 0.0
    for at, layer in enumerate(layers):
        more = tokens * share_from(info, layer)
        full = (at + 1 - start) * tokens > TOKENS_AT_ONCE or work + more > _tokens_at_once(info)
        if at > start and full:
            yield slice(start, at)
            start, work = at, 0.0
        work += more
    if start < len(layers):
        yield slice(start, len(layers))


def _tokens_at_once(info: ModelInfo) -> int:
    return min(TOKENS_AT_ONCE, int(OPERATIONS_AT_ONCE / (2 * _weights(info))))


def _weights(info: ModelInfo) -> int:
    # The unembedding at least: a model made by hand does not say how many it has.
    return max(info.n_params, info.d_vocab * info.d_model)
