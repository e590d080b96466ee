"""Heads that move the answer from its place to the end."""

from analysis.definitions.role import Example, Role

ROLE = Role(
    "Name mover",
    "Attends from the end to the answer, and raises what it attends to.",
    "(mean over rows of pattern[end, place of the answer]) * (share of the set's answers and foils "
    "that are among the 5 tokens which OV raises most); OV of what block 0 makes of a token behind "
    "BOS",
    "0 to 1; chance is uniform attention times 5 / d_vocab",
    "Wang et al. 2022",
    key="name-mover",
    family="Answer",
    targets=lambda rows: rows.cell("end", "answer"),
    weights=lambda of: (of.copying(lowered=False, k=5, own=True), 5 / of.d_vocab),
    asks="an answer that stands in the prompt",
    example=Example(
        ("a", "b", "c", "d"),
        ((1.0,), (0.3, 0.7), (0.2, 0.6, 0.2), (0.4, 0.3, 0.2, 0.1)),
        0.3,
        places={"end": 3, "answer": 1},
    ),
)
