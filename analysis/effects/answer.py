"""What one answer loses without a head: its logit, at one place of one text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.loading import HeadModel
from analysis.runs.inputs import Tokens
from analysis.runs.pieces import pieces
from analysis.runs.suffix import Edit, record, rerun, z_points


@dataclass(frozen=True, eq=False)
class AnswerAblation:
    """How the answer's logit, less the foil's, changes without each head, in logits.

    Below 0 the head helps, by whatever path; `clean` is the logit of the model as it is.
    """

    heads: tuple[Head, ...]
    changes: Float[np.ndarray, " head"]
    clean: float

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.changes):
            raise ValueError(f"{len(self.changes)} changes for {len(self.heads)} heads")
        if not np.isfinite(self.changes).all():
            raise ValueError("an ablation effect is not finite")
        freeze(self, "changes")


def answer_ablation(
    model: HeadModel,
    tokens: Tokens,
    heads: Sequence[Head],
    dest: int,
    answer: int,
    foil: int | None = None,
) -> AnswerAblation:
    """Zero each head's z and see what is left of the answer's logit after one position.

    change[head] = logit of the answer with z of the head 0 at every position - logit as it is;
    with a foil that of answer minus foil. Exact, and by all paths: also through later heads and
    MLPs, which direct attribution leaves out. Source: ARENA 1.2, section 3.7, on one logit.

    Args:
        model: The model.
        tokens: One sequence.
        heads: The heads, each by itself.
        dest: The position after which the answer comes.
        answer: Its id.
        foil: Id of the token that it is compared with.

    Raises:
        AnalysisError: Heads that do not exist, repeat or are none; several sequences; a position
            or an id that there is not.
    """
    chosen = require_heads(model.info, heads)
    check_answer(model, tokens, dest, answer, foil)
    recording = record(model, tokens.tensor, z_points(model))
    at = torch.tensor([dest])

    def read(
        logits: Float[Tensor, "case batch entry d_vocab"], at: Int[Tensor, " entry"]
    ) -> Float[Tensor, "case batch entry"]:
        wanted = logits[..., answer]
        return wanted if foil is None else wanted - logits[..., foil]

    clean = float(read(recording.logits[None, :, at], at))
    left: list[Tensor] = []
    zero = torch.zeros(())
    for some in pieces(model.info, tokens.length, [head.layer for head in chosen]):
        cases = [
            (Edit(head.layer, "attn.hook_z", (slice(None), head.head), zero),)
            for head in chosen[some]
        ]
        left.append(rerun(model, recording, cases, at, read)[:, 0, 0])
    return AnswerAblation(chosen, to_numpy(torch.cat(left) - clean), clean)


def check_answer(
    model: HeadModel, tokens: Tokens, dest: int, answer: int, foil: int | None
) -> None:
    """AnalysisError for several sequences, or a position or an id that there is not."""
    if tokens.batch != 1:
        raise AnalysisError(f"These are {tokens.batch} sequences; an answer is one text's.")
    if not 0 <= dest < tokens.length:
        raise AnalysisError(f"There is no position {dest}; they run from 0 to {tokens.length - 1}.")
    for token in (answer, foil):
        if token is not None and not 0 <= token < model.d_vocab:
            raise AnalysisError(
                f"{token} is no id of {model.name}; they end at {model.d_vocab - 1}."
            )
