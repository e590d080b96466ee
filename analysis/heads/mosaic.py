"""Scores of whole models on the same random tokens, to lay models beside each other."""

from analysis.heads.scores import head_scores
from analysis.limits import mosaic_size
from analysis.models.loading import HeadModel
from analysis.runs.inputs import repeated_tokens
from analysis.runs.results import HeadScores


def mosaic_scores(model: HeadModel) -> HeadScores:
    """Every score of every head on BOS and random tokens repeated, seed 0; see `mosaic_size`."""
    half, batch = mosaic_size(model.n_layers, model.n_heads, model.n_ctx)
    return head_scores(model, repeated_tokens(model, length=half, batch=batch, seed=0))
