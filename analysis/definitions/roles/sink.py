"""Heads that rest on the first token of the prompts at hand."""

import numpy as np

from analysis.definitions.role import Example, Role, Rows


def _first(rows: Rows) -> np.ndarray:
    start = np.zeros(rows.tokens.ids.shape, dtype=bool)
    start[:, 0] = True
    return rows.earlier(start)


ROLE = Role(
    "Sink",
    "Rests on the first token on these prompts, where it has nothing to do.",
    "mean over dest >= 1 of pattern[dest, 0]",
    "0 to 1",
    "Xiao et al. 2023",
    key="sink",
    family="Position",
    targets=_first,
    example=Example(
        ("a", "b", "c"), ((1.0,), (0.5, 0.5), (0.2, 0.7, 0.1)), (0.5 + 0.2) / 2, places={}
    ),
    needs=("set", "run", "pattern", "score"),
    code="""
first = torch.zeros_like(earlier_copies)
first[:, 1:, 0] = True
result = attention_on(first)
""",
)
