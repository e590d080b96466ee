"""Heads that look one token back."""

from analysis.definitions.role import Example, Role, of_score
from analysis.definitions.scores import PREVIOUS

ROLE = Role(
    "Previous token",
    "Attends to the token just before, whatever it is.",
    f"on random tokens: {PREVIOUS.formula}",
    "0 to 1",
    "ARENA 1.2, section 2.2",
    key="previous-token",
    family="Position",
    tokens="random",
    targets=of_score(PREVIOUS),
    example=Example(
        ("a", "b", "c"), ((1.0,), (0.5, 0.5), (0.2, 0.7, 0.1)), (0.5 + 0.7) / 2, places={}
    ),
    needs=("repeated", "run", "pattern", "score"),
    code=PREVIOUS.code,
)
