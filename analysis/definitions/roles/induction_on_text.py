"""Heads that find what followed a token in the prompts at hand."""

from analysis.definitions.role import Example, Role, of_score
from analysis.definitions.scores import INDUCTION

ROLE = Role(
    "Induction on text",
    "Attends to tokens that followed an earlier copy of its own, on these prompts.",
    INDUCTION.formula.partition(";")[0],
    "0 to 1; only destinations that have such a place",
    "Olsson et al. 2022",
    key="induction-on-text",
    family="Repetition",
    targets=of_score(INDUCTION),
    asks="a token that stands twice in a prompt",
    example=Example(
        ("a", "b", "c", "a"),
        ((1.0,), (0.3, 0.7), (0.2, 0.6, 0.2), (0.4, 0.3, 0.2, 0.1)),
        0.3,
        places={},
    ),
    needs=("set", "run", "pattern", "score"),
    code=INDUCTION.code,
)
