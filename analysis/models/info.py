"""What a model is: its sizes, where its files are, and whether it fits into memory."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from analysis.limits import MAX_LONG
from analysis.models.home import at_home

# float32 weights, and half as much again while they are read and for the largest results.
BYTES_PER_PARAMETER = 4 * 1.5
_OWN_GROUPS, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
WEIGHTS = "model.safetensors"
# The family of a model that is in no file.
IN_MEMORY = "In memory"
INDEX = "model.safetensors.index.json"
# Where the hub's own client looks for a token before it looks into a file.
HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_elsewhere = False
Positions = Literal["learned", "rotary", "shortformer", "alibi", "none"]
ScoreRule = Literal["plain", "normed", "capped", "other"]
# Which numbers of a query or key are turned together: those half a width apart, or neighbours.
TurnRule = Literal["halves", "pairs", "none"]


@dataclass(frozen=True, slots=True)
class Turn:
    """How a layer turns queries and keys by their positions, as it was found to."""

    rule: TurnRule = "none"
    norm_last: bool = False  # the norm of queries and keys, where there is one, comes after


@dataclass(frozen=True, slots=True)
class Traits:
    """What decides which analyses are defined for a model; measured on the loaded one.

    Before a model is loaded its traits are those that most models have.
    """

    # Nothing but a norm or a factor stands between the heads' sum z W_O + b_O and the stream.
    heads_write: bool = True
    # The stream is the embedding, the positions and all that heads and MLPs write.
    stream_adds_up: bool = True
    # Logits are the final norm's output times W_U, plus b_U, times a factor, before a soft cap, of
    # a known norm.
    plain_logits: bool = True
    # Logits are that, bent by a soft cap or not.
    readable_stream: bool = True
    # Queries, keys and values are what the norm before them leaves, times W_Q, W_K, W_V.
    plain_reads: bool = True
    # What is done to queries, keys or scores beside a scale and a rotation.
    scores: ScoreRule = "plain"
    # Patterns follow from queries and keys as they can be seen, head by head (`ModelInfo.turns`).
    turns_seen: bool = True
    # A head's z is its values, as they can be seen, averaged by its pattern.
    values_seen: bool = True
    # The embedding of a token is its row of W_E, times one factor at most.
    plain_embedding: bool = True
    # The vector that is added at position p is row p of W_pos.
    position_table: bool = True
    # Fixed factors between what is multiplied and what comes of it (Granite, Cohere): from the
    # heads' sum to the stream, from an MLP's neurons to it, from rows of W_E to it, and of logits.
    write_factor: float = 1.0
    mlp_factor: float = 1.0
    embed_factor: float = 1.0
    logit_factor: float = 1.0
    # The first block's MLP can be run on what its norm leaves of a vector, by itself.
    mlp_alone: bool = True
    # A norm stands between the heads' sum and the stream.
    post_norm: bool = False
    # Norms multiply by a weight, and LayerNorms add a bias (OLMo has neither, Cohere no bias).
    norm_weights: bool = True
    norm_biases: bool = True
    # The norms' linear part can be multiplied into the weights that read the stream.
    foldable_norms: bool = True
    # An edit of a pattern reaches the logits.
    pattern_edits: bool = True
    # Each layer's neurons can be seen, and their sum W_out + b_out is what the MLP writes.
    neurons: bool = True
    # Rows of patterns sum to 1.
    rows_sum_to_1: bool = True


# Of an encoder: its norms stand behind heads and MLPs, and what is made of a stream that they add
# up in, or of the logits of a next token, does not exist for it.
ENCODER = Traits(
    heads_write=False,
    stream_adds_up=False,
    plain_logits=False,
    readable_stream=False,
    plain_reads=False,
    scores="other",
    turns_seen=False,
    plain_embedding=False,
    position_table=False,
    mlp_alone=False,
    post_norm=True,
    foldable_norms=False,
    neurons=False,
)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Sizes of a model and where its files are; `available` when they are here and complete.

    `positions`: learned vectors added to the stream, rotary, shortformer (learned vectors that
    only queries and keys see), ALiBi (scores lowered by the distance) or none. `problem` says why
    files that are here cannot be used. Of a model that is not here, `d_model`, `d_head`, `d_mlp`
    and `d_vocab` are 0: not known. `n_ctx` is the most tokens that it is run on here, `shorter` a
    sentence that says why these are fewer than it takes, `n_positions` of how many a native model
    has vectors where that is more.

    Read from files alone, `has_bos`, `start`, `n_params`, `normalization`, `positions` and
    `traits` are what those say or what is usual, and `scales` and `turns` are empty; a `HeadModel`
    carries what it was found to be. (They stay empty for a native model: 1/sqrt(d_head), and no
    turns.)
    """

    name: str
    title: str
    folder: Path
    available: bool
    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    n_ctx: int
    d_vocab: int
    n_params: int
    normalization: str | None
    family: str = "Headscope"
    kind: str = "native"  # native, or Hugging Face's name of the architecture
    positions: Positions = "learned"
    n_kv_heads: int = 0  # 0: each head has its own keys and values
    has_bos: bool = True
    has_chat: bool = False  # its tokenizer has a chat template
    window: int = 0  # tokens that some layers see back at most; 0: every layer sees all
    act_fn: str = "gelu"
    n_positions: int = 0
    shorter: str = ""
    own_context: int = 0  # tokens that it takes where memory alone makes them fewer; 0: `n_ctx`
    start: str = ""  # text of the token that repeated tokens begin with, once it is known
    unnamed_bos: bool = False  # `start` is its BOS, and its tokenizer names none or another
    traits: Traits = Traits()
    source: str = ""
    revision: str = ""
    licence: str = "MIT"
    download_mb: int = 0
    notes: str = ""
    problem: str = ""
    gated: bool = False  # a hub hands it out only to accounts that have accepted its licence
    commit: str = ""  # of the source that the files were fetched from; empty: not known
    scales: tuple[float, ...] = ()  # of attention, by layer, NaN where no way to it is known
    turns: tuple[Turn, ...] = ()  # of queries and keys, by layer, where `traits.turns_seen`
    # An encoder: each token sees those before and after it, and none is predicted from the others.
    bidirectional: bool = False
    has_mlm_head: bool = False  # an encoder's, which predicts a token that is masked
    step: int | None = None  # of a checkpoint of its training; None: the finished model

    @property
    def longest_by_rows(self) -> int:
        """The most tokens of which patterns are worked out where none is held whole."""
        return max(self.n_ctx, min(self.own_context, MAX_LONG))

    @property
    def has_mlp(self) -> bool:
        """Whether blocks hold an MLP besides attention."""
        return self.d_mlp > 0

    @property
    def operations(self) -> int:
        """Floating-point operations of a run for each token: two for each parameter."""
        # The unembedding's at least: models made by hand do not say how many they have.
        return 2 * max(self.n_params, self.d_vocab * self.d_model)

    def share_from(self, layer: int) -> float:
        """Share of a run's operations that a layer, all after it and the unembedding take."""
        unembedding = 2 * self.d_vocab * self.d_model / self.operations
        return 1 - layer / self.n_layers * (1 - unembedding)

    @property
    def weights(self) -> Path:
        """The file that its weights are in, or where they are in several, the list of those."""
        if self.step is not None:
            return self.folder / "checkpoints" / f"step-{self.step:06d}.safetensors"
        single, index = self.folder / WEIGHTS, self.folder / INDEX
        # As transformers has it: an index beside a single file is a leftover.
        return index if index.exists() and not single.exists() else single

    @property
    def weight_bytes(self) -> int:
        """Bytes of its float32 weights, roughly."""
        return 4 * self.n_params

    @property
    def memory_bytes(self) -> int:
        """Main memory that working with the model takes, roughly."""
        return int(self.n_params * BYTES_PER_PARAMETER)

    @property
    def fits(self) -> bool:
        """Whether the machine that loads it has the memory for it, as far as this one knows."""
        return _elsewhere or self.memory_bytes <= machine_memory()

    @property
    def downloadable(self) -> bool:
        """Whether its files are not here, and a hub hands them out: to everybody, or by token."""
        return bool(self.source) and not self.available and (not self.gated or has_hub_token())


def load_elsewhere() -> None:
    """Say that this process loads no model: what fits is known where they are loaded."""
    global _elsewhere
    _elsewhere = True


def has_hub_token() -> bool:
    """Whether this machine has a token of the hub's in one of the usual places; it is not read."""
    if any(os.environ.get(name) for name in HUB_TOKENS):
        return True
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    file = at_home(os.environ.get("HF_TOKEN_PATH") or f"{home}/token")
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


@cache
def machine_memory() -> int:
    """Main memory of this machine, or what the container that this runs in may take; bytes."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_memory_limits()])


def _memory_limits() -> Iterator[int]:
    """The limits of the control groups that this process is in, where they have any."""
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:  # number:controllers:path; version 2 names no controllers
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, file = _GROUPS / "memory", "memory.limit_in_bytes"
        elif not controllers:
            root, file = _GROUPS, "memory.max"
        else:
            continue
        group = Path(path.lstrip("/"))
        for each in (group, *group.parents):  # a group lies within the limits of those above it
            with suppress(OSError):
                limit = (root / each / file).read_text(encoding="utf-8").strip()
                if limit.isdecimal():  # "max" where there is none
                    yield int(limit)
