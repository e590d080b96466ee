"""Heads that find what followed the earlier copy of a token, on random tokens."""

from analysis.definitions.role import Example, Role, of_score
from analysis.definitions.scores import INDUCTION

ROLE = Role(
    "Induction",
    "Attends to the token that followed the earlier copy of its own, on random tokens.",
    f"on random tokens: {INDUCTION.formula}",
    "0 to 1",
    "Olsson et al. 2022; ARENA 1.2, section 2.8",
    key="induction",
    family="Repetition",
    tokens="random",
    targets=of_score(INDUCTION),
    example=Example(
        ("a", "b", "c", "a"),
        ((1.0,), (0.3, 0.7), (0.2, 0.6, 0.2), (0.4, 0.3, 0.2, 0.1)),
        0.3,
        places={},
    ),
    needs=("repeated", "run", "pattern", "score"),
    code=INDUCTION.code,
)
