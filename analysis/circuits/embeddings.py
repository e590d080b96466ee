"""How tokens and positions reach a head: the vectors that its circuits start from."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.circuits.weights import token_embeddings
from analysis.errors import AnalysisError
from analysis.models.loading import HeadModel
from analysis.runs.forward import mlp_output

Embedding = Literal["raw", "effective"]
EMBEDDINGS: tuple[Embedding, ...] = get_args(Embedding)

EFFECTIVE = (
    "Tokens are read as the first MLP leaves them (W_E and what that MLP writes on it alone, the "
    "effective embedding); heads of layer 0 read W_E."
)
BARE = "Tokens are read as bare embeddings, without what the first MLP adds to them."
THROUGH_NORM = (
    "Tokens and positions pass through the norm that the head reads through, its scale included, "
    "as if nothing else were in the stream. Biases of queries and keys are left out."
)
# Rows of the vocabulary that pass the MLP at once; its neurons are several times as wide.
_ROWS = 4096


def default_embedding(model: HeadModel) -> Embedding:
    """Which embedding says something about a model's heads; circuits take it unless told.

    "effective" where the first block has an MLP that heads of later layers read behind, since what
    they read of a token is then W_E and that MLP's write on it; "raw" elsewhere. Measured against
    the stream of a text after block 0, mean cosine: SmolLM2 .81 for the effective one and .00 for
    the raw, gelu-4l .44 and .18. Source: Wang et al. 2022, appendix; ARENA 1.4.1.
    """
    return "effective" if model.n_layers > 1 and _mlp_stands_alone(model) else "raw"


def _mlp_stands_alone(model: HeadModel) -> bool:
    """Whether the first block's MLP can be run on what its norm leaves of a vector, by itself."""
    return model.info.has_mlp and model.info.traits.mlp_alone


def resolve_embedding(model: HeadModel, embedding: Embedding | None) -> Embedding:
    """The embedding that was asked for, or the model's default.

    Raises:
        AnalysisError: An unknown name, or the effective embedding of a model without MLPs.
    """
    if embedding is None:
        return default_embedding(model)
    if embedding not in EMBEDDINGS:
        raise AnalysisError(
            f"Embedding {embedding!r} is unknown. Choose one of: {', '.join(EMBEDDINGS)}."
        )
    if embedding == "effective" and not _mlp_stands_alone(model):
        raise AnalysisError(
            f"The effective embedding was asked for; {model.name} has no MLP in its first "
            "block that tokens could pass by themselves. Choose the raw one."
        )
    return embedding


def token_vectors(
    model: HeadModel, layer: int, embedding: Embedding, ids: Sequence[int] | None = None
) -> Float[Tensor, "token d_model"]:
    """What heads of a layer read of each token, or of some, before their norm.

    W_E; for "effective" and layers after the first, W_E + MLP0(norm(W_E)): block 0 without its
    attention. Takes the model's lock for a part of the vocabulary at a time.
    """
    rows = token_embeddings(model, ids)
    if embedding == "raw" or layer == 0:
        return rows
    return torch.cat([part + mlp_output(model, 0, part) for part in rows.split(_ROWS)])


def through_norm(
    model: HeadModel, layer: int, vectors: Float[Tensor, "row d_model"]
) -> Float[Tensor, "row d_model"]:
    """The vectors as heads of a layer get them when nothing else is in the stream."""
    if model.info.normalization is None:
        return vectors
    with torch.inference_mode():
        # The module inside the bridge's: it has no hooks, so no lock is needed.
        normed: Tensor = model.bridge.blocks[layer].ln1.original_component(vectors)
    return normed


def embedding_note(model: HeadModel, embedding: Embedding) -> str:
    """Which embedding a circuit started from; empty for a model that has only one."""
    if not model.info.has_mlp:
        return ""
    return EFFECTIVE if embedding == "effective" else BARE


def joined(*sentences: str) -> str:
    """What a circuit assumes, in one text; empty sentences leave no gap."""
    return " ".join(filter(None, sentences))
