"""Bounds on inputs, free of torch, so that widgets and links can be checked before it is loaded."""

# Repeated tokens where nobody says how many: S and sequences, as in the course.
USUAL_HALF, USUAL_BATCH = 50, 10
MIN_HALF = 2  # S of repeated tokens; with 1 nothing in the second half is predictable
MAX_BATCH = 64
# Far above any context here; keeps a pasted book from being tokenized at all.
MAX_CHARACTERS = 20_000
# What one answer may hold: 64 sequences x 144 heads x 201 x 201 float32 would be 1.5 GB.
MAX_BYTES = 256 * 2**20
# Logits of as many sequences at once; of a vocabulary of 262,000 those of a request would be 1 GB.
MAX_LOGIT_BYTES = 64 * 2**20
# Logits of which something is made in one go, which takes several copies: 32 MiB.
LOGITS_AT_ONCE = 2**23
MAX_TURNS = 64  # of a conversation
# Tokens of a text of which patterns are worked out row by row, and characters that hold as many.
MAX_LONG, MAX_LONG_CHARACTERS = 8192, 48_000
MAX_SEED = 2**32 - 1
# Read of a text by windows: some minutes for a model of a hundred million parameters.
MAX_CORPUS_TOKENS = 200_000
MAX_WRITTEN = 200  # tokens that a model writes on
MAX_TEMPERATURE = 2.0
# Of one core of 2023: measured on sweeps over the heads of SmolLM2. Taken on a GPU too: what a page
# begins with, and so what its link means, must not depend on the machine.
OPERATIONS_A_SECOND = 1e11
# An exact ablation of every head that nobody has asked for. On a core that other programs share it
# takes twice as long (measured on SmolLM2), which is still below two minutes.
_SWEEP_SECONDS = 40
_LEAST_SWEEP_HALF = 10  # fewer tokens say little
# Tokens of a window of it, where the context is not shorter.
WINDOW = 256
# Of the patterns of all layers, held at once where whole models are laid beside each other.
_MAX_PATTERN_BYTES = 128 * 2**20


def sweep_size(n_all_heads: int, operations: int, n_ctx: int) -> tuple[int, int]:
    """Tokens in each half and number of sequences on which all heads are soon ablated one by one.

    The usual ones; fewer sequences where the model is large, 2 at least, and then a
    shorter half. `operations` are those of the whole model for each token.
    """
    half = min(USUAL_HALF, (n_ctx - 1) // 2)
    tokens = int(_SWEEP_SECONDS / sweep_seconds(n_all_heads, operations, 1))
    batch = max(2, min(USUAL_BATCH, tokens // (2 * half + 1)))
    if batch * (2 * half + 1) > tokens:
        half = min(half, max(_LEAST_SWEEP_HALF, (tokens // batch - 1) // 2))
    return half, batch


def sweep_seconds(n_all_heads: int, operations: int, tokens: int) -> float:
    """How long it takes to ablate all heads one by one, each of which runs half of the model."""
    return n_all_heads * operations / 2 * tokens / OPERATIONS_A_SECOND


def mosaic_size(n_layers: int, n_heads: int, n_ctx: int) -> tuple[int, int]:
    """Tokens in each half and number of sequences that `mosaic_scores` runs a model on.

    The usual ones; a shorter half where the context is short, and fewer sequences
    where the model has many heads.
    """
    half = min(USUAL_HALF, (n_ctx - 1) // 2)
    one = 4 * n_layers * n_heads * (2 * half + 1) ** 2
    return half, max(1, min(USUAL_BATCH, _MAX_PATTERN_BYTES // one))


def rows_at_once(length: int, d_vocab: int) -> int:
    """How many sequences are run at once, where each can be run by itself, as logits are large."""
    return max(1, MAX_LOGIT_BYTES // (4 * length * d_vocab))


def positions_at_once(rows: int, d_vocab: int) -> int:
    """At how many positions of so many sequences something is made of logits in one go."""
    return max(1, LOGITS_AT_ONCE // (rows * d_vocab))


def role_size(n_layers: int, n_heads: int, n_ctx: int) -> tuple[int, int]:
    """Tokens in each half and number of sequences that roles on random tokens are screened on."""
    half, sequences = mosaic_size(n_layers, n_heads, n_ctx)
    return half, min(4, sequences)


# A set of prompts: rows, bytes of the text that it is read from, and tokens of all rows together.
MAX_ROWS = 2_000
MAX_SET_BYTES = 2 * 2**20
MAX_SET_TOKENS = 200_000
# Tokens of a text of which each is masked in a run of its own.
MAX_MASKED = 64
