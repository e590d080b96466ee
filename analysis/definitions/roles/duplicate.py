"""Heads that find the earlier copy of a token, on random tokens."""

from analysis.definitions.role import Example, Role, of_score
from analysis.definitions.scores import DUPLICATE

ROLE = Role(
    "Duplicate token",
    "Attends to the earlier copy of the token that it stands at, on random tokens.",
    f"on random tokens: {DUPLICATE.formula}",
    "0 to 1",
    "ARENA 1.2, section 2.8; Olsson et al. 2022",
    key="duplicate-token",
    family="Repetition",
    tokens="random",
    targets=of_score(DUPLICATE),
    example=Example(
        ("a", "b", "c", "a"),
        ((1.0,), (0.3, 0.7), (0.2, 0.6, 0.2), (0.4, 0.3, 0.2, 0.1)),
        0.4,
        places={},
    ),
    needs=("repeated", "run", "pattern", "score"),
    code=DUPLICATE.code,
)
