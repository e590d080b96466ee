"""Every quantity, registered once: pages show it, functions cite it, and lists are made of it.

Free of torch, so that a page can explain a figure before it has been computed. A quantity is a
constant of the module of its family, a score one of `analysis.definitions.scores`, and a role a
module of `analysis.definitions.roles`: nothing else keeps a list of them.
"""

from analysis.definitions import (
    by_hand,
    circuits,
    conversation,
    corpus,
    effects,
    encoders,
    heads,
    interventions,
    logits,
    patching,
    runs,
    scores,
    sets,
    weightings,
)
from analysis.definitions.by_hand import *  # noqa: F403
from analysis.definitions.circuits import *  # noqa: F403
from analysis.definitions.circuits import COPYING, EIGENVALUES
from analysis.definitions.conversation import *  # noqa: F403
from analysis.definitions.corpus import *  # noqa: F403
from analysis.definitions.effects import *  # noqa: F403
from analysis.definitions.effects import ABLATION
from analysis.definitions.encoders import *  # noqa: F403
from analysis.definitions.heads import *  # noqa: F403
from analysis.definitions.heads import SCORES
from analysis.definitions.interventions import *  # noqa: F403
from analysis.definitions.logits import *  # noqa: F403
from analysis.definitions.patching import *  # noqa: F403
from analysis.definitions.quantity import Quantity as Quantity
from analysis.definitions.quantity import of_every_head as of_every_head
from analysis.definitions.quantity import registered
from analysis.definitions.roles import ROLES as ROLES
from analysis.definitions.runs import *  # noqa: F403
from analysis.definitions.sets import *  # noqa: F403
from analysis.definitions.weightings import *  # noqa: F403

QUANTITIES: tuple[Quantity, ...] = (
    *(
        quantity
        for family in (
            runs,
            scores,
            heads,
            encoders,
            corpus,
            logits,
            weightings,
            conversation,
            effects,
            patching,
            interventions,
            by_hand,
            circuits,
            sets,
        )
        for quantity in registered(family)
    ),
    *ROLES.values(),
)

# What a head's profile holds, where the model and the input allow it.
PROFILE: dict[str, Quantity] = {**SCORES}
PROFILE |= {"eigenvalue": EIGENVALUES, "copying": COPYING, "ablation": ABLATION}
