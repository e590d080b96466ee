"""Heads that stay where they are."""

from analysis.definitions.role import Example, Role, of_score
from analysis.definitions.scores import CURRENT

ROLE = Role(
    "Current token",
    "Attends to the token that it stands at, whatever that is.",
    f"on random tokens: {CURRENT.formula}",
    "0 to 1",
    "ARENA 1.2, section 2.2",
    key="current-token",
    family="Position",
    tokens="random",
    targets=of_score(CURRENT),
    example=Example(
        ("a", "b", "c"), ((1.0,), (0.5, 0.5), (0.2, 0.7, 0.1)), (1 + 0.5 + 0.1) / 3, places={}
    ),
    needs=("repeated", "run", "pattern", "score"),
    code=CURRENT.code,
)
