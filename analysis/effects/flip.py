"""The fewest heads without which another token wins, found greedily on exact effects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.effects.answer import check_answer
from analysis.effects.groups import Group, random_groups
from analysis.effects.recipe import MAX_STEPS
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from analysis.models.loading import HeadModel
from analysis.runs.forward import run, silence
from analysis.runs.pieces import pieces
from analysis.runs.suffix import Edit, record, rerun, runs_suffixes, z_points
from analysis.tokens import Tokens

Progress = Callable[[int, int], None]
# Why the search ended: the foil wins, as many heads are gone as may be, or no other one lowers the
# difference any further.
Ended = Literal["flipped", "most", "stuck"]
DRAWS = 20


@dataclass(frozen=True, eq=False)
class FlipSet:
    """Heads without which the foil's logit is above the answer's, after the last token.

    Differences are logit(answer) - logit(foil). `taken` are heads in the order of their removal and
    `after` the difference after each. `heads` are those of them that are needed, none where the
    search did not come to an end; `without` is the difference without them, from a run of its own,
    and `back` that with each of them put back. `random` has it without each of `groups`, which have
    as many heads of each layer and none of these; `alone` says why there are none.
    """

    clean: float
    taken: tuple[Head, ...]
    after: Float[np.ndarray, " taken"]
    ended: Ended
    heads: tuple[Head, ...] = ()
    without: float = float("nan")
    back: Float[np.ndarray, " head"] | None = None
    groups: tuple[Group, ...] = ()
    random: Float[np.ndarray, " draw"] | None = None
    alone: str = ""

    def __post_init__(self) -> None:
        if len(self.after) != len(self.taken):
            raise ValueError(f"{len(self.after)} differences after {len(self.taken)} removals")
        if (self.ended == "flipped") != bool(self.heads):
            raise ValueError(f"the search ended {self.ended} with {len(self.heads)} heads")
        freeze(self, "after")
        if self.back is not None:
            freeze(self, "back")
        if self.random is not None:
            freeze(self, "random")

    @property
    def dropped(self) -> tuple[Head, ...]:
        """Heads that were removed and turned out not to be needed."""
        return tuple(head for head in self.taken if head not in self.heads) if self.heads else ()

    @property
    def random_flips(self) -> int:
        """Without how many of the random groups the foil wins as well."""
        return 0 if self.random is None else int((self.random < 0).sum())


def flip_set(
    model: HeadModel,
    tokens: Tokens,
    answer: int,
    foil: int,
    most: int = MAX_STEPS,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> FlipSet:
    """Remove heads until the foil beats the answer after the last token of a text.

    Each time the head is removed (z = 0 at every position) without which, beside those that are
    gone, logit(answer) - logit(foil) is lowest; that is measured exactly for every head that is
    left, and anew after every removal. Then heads that are not needed come back, the one first
    without whose removal the foil wins by most, until putting any single one back makes the answer
    win again. Greedy: a smaller set may exist that no such order of removals finds.

    Args:
        model: The model. Its lock is taken for a few heads at a time.
        tokens: One sequence.
        answer: Id of the token that wins as it is.
        foil: Id of the token that is to win.
        most: Heads that are removed at most.
        draws: Random groups that the set is set beside.
        seed: Of these.
        progress: Called without the lock as `progress(done, all)`, where all is what `most`
            removals take. It may raise to cancel.

    Raises:
        AnalysisError: Several sequences, ids that there are not, the same twice, a number of heads
            or groups out of range, or a foil that wins as it is.
    """
    check_answer(model, tokens, tokens.length - 1, answer, foil)
    every = all_heads(model.info)
    if answer == foil:
        raise AnalysisError("Answer and foil are the same token. Choose two.")
    if most < 1 or draws < 1:
        raise AnalysisError(
            f"{most} heads and {draws} random groups were asked for; 1 is the least."
        )
    most = min(most, len(every))
    search = _Search(model, tokens.tensor, answer, foil, most * len(every) + draws, progress)
    clean = search.clean
    if clean <= 0:
        raise AnalysisError(
            f"As it is the answer's logit is {-clean:.2f} below the foil's, so that nothing has to "
            "be removed for the foil to win. Swap the two, or choose others."
        )
    taken, after, ended = _removed(search, every, most)
    if ended != "flipped":
        return FlipSet(clean, taken, after, ended)
    heads, back = _needed(search, taken)
    groups: tuple[Group, ...] = ()
    alone = ""
    try:
        groups = random_groups(model, heads, draws, seed)
    except AnalysisError as refused:
        alone = str(refused)
    return FlipSet(
        clean,
        taken,
        after,
        ended,
        heads,
        search.confirmed(heads),
        back,
        groups,
        search.without(groups) if groups else None,
        alone,
    )


def _removed(
    search: "_Search", every: Sequence[Head], most: int
) -> tuple[tuple[Head, ...], Float[np.ndarray, " taken"], Ended]:
    """Heads in the order of their removal, the difference after each, and why there are no more."""
    taken: list[Head] = []
    after: list[float] = []
    ended: Ended = "most"
    while len(taken) < most:
        left = [head for head in every if head not in taken]
        found = search.without([(head,) for head in left], taken)
        best = int(found.argmin())
        if found[best] >= (after[-1] if after else search.clean):
            ended = "stuck"
            break
        taken.append(left[best])
        after.append(float(found[best]))
        if after[-1] < 0:
            ended = "flipped"
            break
    return tuple(taken), np.array(after, np.float32), ended


def _needed(
    search: "_Search", taken: Sequence[Head]
) -> tuple[tuple[Head, ...], Float[np.ndarray, " head"]]:
    """The heads that are needed, and the difference with each of them put back."""
    heads = list(taken)
    while len(heads) > 1:
        back = search.without([tuple(other for other in heads if other != head) for head in heads])
        least = int(back.argmin())
        if back[least] >= 0:
            return tuple(heads), back
        del heads[least]
    return tuple(heads), np.array([search.clean], np.float32)


class _Search:
    """Differences without heads, in as many runs as it takes."""

    def __init__(
        self,
        model: HeadModel,
        ids: Int[Tensor, "1 pos"],
        answer: int,
        foil: int,
        total: int,
        progress: Progress | None,
    ) -> None:
        self._model, self._ids, self._pair = model, ids, (answer, foil)
        self._end = torch.tensor([ids.shape[1] - 1])
        self._total, self._done, self._progress = total, 0, progress
        self.clean = self.confirmed(())

    def confirmed(self, heads: Sequence[Head]) -> float:
        """The difference without some heads, from one whole run."""
        logits, _ = run(self._model, self._ids, hooks=silence(heads), positions=self._end)
        return float(self._read(logits[None], self._end))

    def without(
        self, groups: Sequence[Group], gone: Sequence[Head] = ()
    ) -> Float[np.ndarray, " group"]:
        """The difference without each group, and without those that are gone beside it.

        Layers below a group run once for all: as they are when these heads are gone.
        """
        model = self._model
        recording = record(model, self._ids, z_points(model), silence(gone))
        zero = torch.zeros(())
        begins = [min(head.layer for head in group) for group in groups]
        # Where every case is a whole run, so are its removals.
        again = 0 if runs_suffixes(model) else model.n_layers
        found = np.empty(len(groups), np.float32)
        for some in pieces(model.info, self._ids.shape[1], begins):
            cases = [
                tuple(
                    Edit(head.layer, "attn.hook_z", (slice(None), head.head), zero)
                    for head in (*group, *(h for h in gone if h.layer + again >= begin))
                )
                for group, begin in zip(groups[some], begins[some], strict=True)
            ]
            left = rerun(model, recording, cases, self._end, self._read)
            found[some] = to_numpy(left)[:, 0, 0]
            self._count(len(cases))
        return found

    def _read(
        self, logits: Float[Tensor, "case batch entry d_vocab"], at: Int[Tensor, " entry"]
    ) -> Float[Tensor, "case batch entry"]:
        answer, foil = self._pair
        return logits[..., answer] - logits[..., foil]

    def _count(self, more: int) -> None:
        self._done = min(self._total, self._done + more)
        if self._progress:
            self._progress(self._done, self._total)
