"""Heads that find earlier copies of a token in the prompts at hand."""

from analysis.definitions.role import Example, Role, of_score
from analysis.definitions.scores import DUPLICATE

ROLE = Role(
    "Duplicate on text",
    "Attends to earlier copies of the token that it stands at, on these prompts.",
    DUPLICATE.formula.partition(";")[0],
    "0 to 1; only destinations that have an earlier copy",
    "Wang et al. 2022",
    key="duplicate-on-text",
    family="Repetition",
    targets=of_score(DUPLICATE),
    asks="a token that stands twice in a prompt",
    example=Example(
        ("a", "b", "c", "a"),
        ((1.0,), (0.3, 0.7), (0.2, 0.6, 0.2), (0.4, 0.3, 0.2, 0.1)),
        0.4,
        places={},
    ),
    needs=("set", "run", "pattern", "score"),
    code=DUPLICATE.code,
)
