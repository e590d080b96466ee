"""What is known of a head already: its passport waits for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import analysis
from analysis.head import Head
from app.compute.ask import known
from app.compute.calls.ablation import ABLATE_HEAD
from app.compute.calls.heads import HEAD_SCORES
from app.compute.calls.inputs import tokens_of
from app.compute.calls.roles import known_roles
from app.compute.calls.weights import COMPOSITION_SCORES, OV_COPYING
from app.compute.imports import import_all
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.circuits.composition import Kind
    from analysis.passport import Passport

_KINDS: tuple[Kind, ...] = ("Q", "K", "V")


def passport_of(selection: Selection, head: Head) -> Passport:
    """A head on the view's tokens, of the results that are there; nothing is computed for it."""
    info, tokens = selection.info, tokens_of(selection)
    compositions = [known(COMPOSITION_SCORES, info, kind) for kind in _KINDS]
    # Asked as the pages ask: what is remembered is found by the same arguments.
    scores = known(HEAD_SCORES, info, tokens, without=())
    copying = known(OV_COPYING, info, (head,))
    ablation = known(ABLATE_HEAD, info, tokens, head, "zero", seed=0)
    import_all()
    present = tuple(found for found in compositions if found is not None)
    roles = known_roles(selection, head)
    judged = roles.judged if roles else ()
    evidence = analysis.Evidence(scores, present, copying, ablation, judged)
    return analysis.passport_from(head, evidence)
