"""The models of the server that is asked, each loaded once for all of its visitors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.compute.server import current_server
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.models.loading import HeadModel


def warm_up(name: str) -> None:
    """See `Server.warm_up`."""
    current_server().warm_up(name)


def model_of(selection: Selection) -> HeadModel:
    """The loaded model of a view."""
    server = current_server()
    return server.models.get(selection.info, server.visitor())
