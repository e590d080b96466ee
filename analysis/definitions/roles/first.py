"""Heads that look at the first token, on random tokens."""

from analysis.definitions.role import Example, Role, of_score
from analysis.definitions.scores import FIRST

ROLE = Role(
    "First token",
    "Attends to the first token where nothing makes sense: on random tokens.",
    f"on random tokens: {FIRST.formula}",
    "0 to 1",
    "ARENA 1.2, section 2.2",
    key="first-token",
    family="Position",
    tokens="random",
    targets=of_score(FIRST),
    example=Example(
        ("a", "b", "c"), ((1.0,), (0.5, 0.5), (0.2, 0.7, 0.1)), (1 + 0.5 + 0.2) / 3, places={}
    ),
    needs=("repeated", "run", "pattern", "score"),
    code=FIRST.code,
)
