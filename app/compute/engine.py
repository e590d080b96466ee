"""The models of the server that is asked, each loaded once for all of its visitors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.compute.server import current_server
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel


def model_of(selection: Selection) -> HeadModel:
    """The loaded model of a view."""
    server = current_server()
    return server.models.get(selection.info, server.visitor())


def check_said(info: ModelInfo) -> str:
    """How far a model is from transformers, in a sentence; empty where it is not known (yet)."""
    model = current_server().models.known(info)
    if model is None or model.checked is None:
        return ""
    return (
        "Checked against transformers when it was loaded: logits, patterns and loss differ by "
        f"{model.checked:.0e} at most."
    )
