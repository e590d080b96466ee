"""What is known of the models of the server that is asked, wherever they are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.models.files import fingerprint
from app.compute.server import current_server

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo


def check_said(info: ModelInfo) -> str:
    """How far a model is from transformers, in a sentence; empty where it is not known (yet)."""
    server = current_server()
    if (model := server.models.known(info)) is not None:
        checked = model.checked
    else:
        checked = server.engine.met.get(fingerprint(info)) if server.engine else None
    if checked is None:
        return ""
    return (
        "Checked against transformers when it was loaded: logits, patterns and loss differ by "
        f"{checked:.0e} at most."
    )
