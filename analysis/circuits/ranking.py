"""The tokens that stand highest in some direction."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.models.loading import HeadModel
from analysis.runs.inputs import token_texts
from analysis.runs.predictions import top_by_id


@dataclass(frozen=True, eq=False)
class TokenRanking:
    """Token ids of the whole vocabulary (special ones too), highest value first."""

    ids: Int[np.ndarray, " rank"]
    labels: tuple[str, ...]
    values: Float[np.ndarray, " rank"]

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.ids):
            raise ValueError(f"{len(self.ids)} ids but {len(self.labels)} labels")
        if (np.diff(self.values) > 0).any():
            raise ValueError("values are not sorted from high to low")
        freeze(self, "ids", "values")


def rank_tokens(model: HeadModel, values: Float[Tensor, " d_vocab"], top: int) -> TokenRanking:
    """The `top` tokens with the highest value; all of them where the vocabulary is smaller.

    Of equal values the lower id comes first.
    """
    values, ids = top_by_id(values, min(top, len(values)))
    order = to_numpy(ids)
    return TokenRanking(order, token_texts(model.tokenizer, order.tolist()), to_numpy(values))


def rank_of(values: Float[Tensor, " d_vocab"], token_id: int) -> int:
    """A token's place among all, counted from 1; every tie counts against it."""
    return int((values >= values[token_id]).sum())


def require_token(model: HeadModel, token_id: int) -> None:
    """Refuse an id outside the vocabulary.

    Raises:
        AnalysisError: The id is not one of the model's.
    """
    if not 0 <= token_id < model.d_vocab:
        raise AnalysisError(
            f"Token id {token_id} was asked for; {model.name} has ids 0 to {model.d_vocab - 1}."
        )
