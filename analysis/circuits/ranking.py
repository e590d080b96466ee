"""The tokens that stand highest in some direction."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.models.loading import HeadModel
from analysis.runs.inputs import token_text


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
    """The `top` tokens with the highest value; all of them where the vocabulary is smaller."""
    best = values.topk(min(top, len(values)))
    ids = to_numpy(best.indices)
    return TokenRanking(
        ids, tuple(token_text(model.tokenizer, int(i)) for i in ids), to_numpy(best.values)
    )


def require_token(model: HeadModel, token_id: int) -> None:
    """Refuse an id outside the vocabulary.

    Raises:
        AnalysisError: The id is not one of the model's.
    """
    if not 0 <= token_id < model.d_vocab:
        raise AnalysisError(
            f"Token id {token_id} was asked for; {model.name} has ids 0 to {model.d_vocab - 1}."
        )
