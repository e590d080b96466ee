"""The circuit between two prompts: which edges between heads carry what tells them apart."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from analysis.effects.edges import CutRuns, Edge, RankedEdges, estimate_edges, require_edges
from analysis.effects.patching import (
    LEAST_SHARED,
    PromptPair,
    logit_difference,
    require_difference,
)
from analysis.models.loading import HeadModel
from analysis.runs.forward import run, run_without_logits
from analysis.runs.suffix import z_points


@dataclass(frozen=True, eq=False)
class PairEdgeAttribution(RankedEdges):
    """Every edge with its estimated effect on the clean prompt's logit difference, logits."""

    clean: float
    corrupt: float


@dataclass(frozen=True, slots=True)
class PairFaithfulness:
    """The clean prompt's logit difference when only some edges are left, logits.

    `empty` is the difference with no edge at all: what embeddings, biases and MLPs of the clean
    prompt say beside the heads' outputs of the corrupt one.
    """

    difference: float
    clean: float
    empty: float
    kept: int
    total: int

    @property
    def recovered(self) -> float:
        """Share of what the edges do that the kept ones do: 1 all of it, 0 none; it may exceed 1.

        NaN where that would mislead; `no_share` then says why.
        """
        gap = self.clean - self.empty
        return float("nan") if self.no_share else (self.difference - self.empty) / gap

    @property
    def no_share(self) -> str:
        """Why a share of what the edges do would mislead here; empty where it says something."""
        if self.clean - self.empty >= LEAST_SHARED:
            return ""
        both = (
            f"With all edges the logit difference is {self.clean:+.3f}, with none {self.empty:+.3f}"
        )
        if self.empty > self.clean:
            return f"{both}: here they speak for the foil, so there is no share."
        return f"{both}. A share of less than {LEAST_SHARED:g} logits would be noise."


def pair_edge_attribution(model: HeadModel, pair: PromptPair) -> PairEdgeAttribution:
    """Estimate, for every edge between heads, what it is worth to the clean prompt's answer.

    score = sum over positions and d_model of d m / d (the reader's own copy of the stream) ·
    (clean z - corrupt z) W_O of the writer (over the frozen scale of a norm that follows the heads'
    sum), m = logit[answer] - logit[foil] at the last position of the clean run, mean over
    sequences; logits. Positive: with the corrupt prompt's output on that edge alone, the answer
    loses. Readers as in `edge_attribution`. Source: Syed et al. 2023.

    Args:
        model: The model; its lock is taken for each pass.
        pair: The two prompts.

    Raises:
        AnalysisError: As `edge_attribution`; prompts between which m does not change.
    """
    require_edges(model)
    logits, corrupt = run(model, pair.corrupt.tensor, capture=z_points(model))
    cost, edges = estimate_edges(
        model,
        pair.clean,
        lambda each: _cost(pair, each),
        lambda layer, z: corrupt[z_points(model)[layer]],
    )
    found = PairEdgeAttribution(edges, clean=-cost, corrupt=-float(_cost(pair, logits)))
    require_difference(found.clean, found.corrupt)
    return found


def pair_faithfulness(
    model: HeadModel, pair: PromptPair, edges: Iterable[Edge]
) -> PairFaithfulness:
    """The clean prompt's logit difference when every other edge carries the corrupt prompt's z.

    One exact pass, as `faithfulness`. Source: Wang et al. 2022; Conmy et al. 2023.

    Args:
        model: The model; its lock is taken for each of four passes.
        pair: The two prompts.
        edges: The edges to keep.

    Raises:
        AnalysisError: As `edge_attribution`; edges that the model does not have.
    """
    require_edges(model)
    points = z_points(model)
    clean, _ = run(model, pair.clean.tensor)
    corrupt = run_without_logits(model, pair.corrupt.tensor, points)
    replaced = [corrupt[point] for point in points]
    cut = CutRuns(model, pair.clean, replaced)
    kept = cut.checked(edges)
    return PairFaithfulness(
        difference=-float(_cost(pair, cut.logits(kept))),
        clean=-float(_cost(pair, clean)),
        empty=-float(_cost(pair, cut.logits(set()))),
        kept=len(kept),
        total=cut.total,
    )


def _cost(pair: PromptPair, logits: Tensor) -> Tensor:
    return -logit_difference(pair, logits[:, -1]).mean()
