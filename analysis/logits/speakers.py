"""What heads add to one answer in a conversation, by who speaks what they read it from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analysis.arrays import freeze
from analysis.heads.speakers import part_members, parts_of
from analysis.logits.weighted import weighted_patterns
from analysis.models.loading import HeadModel
from analysis.runs.patterns import layers_in_pieces
from analysis.tokens import Tokens


@dataclass(frozen=True, eq=False)
class SpeakerAttribution:
    """What every head adds to the logit of one answer by reading the tokens of each of `parts`."""

    values: Float[np.ndarray, "layer head part"]
    parts: tuple[str, ...]
    dest: int

    def __post_init__(self) -> None:
        freeze(self, "values")


def speaker_attribution(
    model: HeadModel,
    tokens: Tokens,
    dest: int,
    target: int | None = None,
    foil: int | None = None,
    end: int | None = None,
) -> SpeakerAttribution:
    """Every head's direct attribution at one position, split by who speaks what it reads.

    value[part] = sum over src of that part of the answer-weighted pattern at dest; logits of either
    sign, over all parts the head's entry of `logit_attribution`.

    Args:
        model: The model.
        tokens: Its conversation.
        dest: The position after which the answer comes.
        target: Id of the answer; by default of the token that comes next.
        foil: Id of the token that it is compared with, if any.
        end: Id of the token that comes after the last position.

    Raises:
        AnalysisError: No conversation, or as `weighted_patterns`.
    """
    members = part_members(tokens)
    values = [
        weighted_patterns(
            model, tokens, "answer", layers, targets=target, foils=foil, end=end
        ).values[0, :, :, dest]
        for layers in layers_in_pieces(model, tokens)
    ]
    seen = np.concatenate(values)
    split = seen @ members[:, : seen.shape[-1]].T
    return SpeakerAttribution(split, parts_of(tokens), dest)
