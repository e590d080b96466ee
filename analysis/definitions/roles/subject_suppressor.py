"""Heads that look from the end at the subject that stands twice."""

from analysis.definitions.role import Example, Role

ROLE = Role(
    "Subject suppressor",
    "Attends from the end to where the subject stands again (S-inhibition): later heads are told "
    "not to look there.",
    "mean over rows of pattern[end, second place of the subject]",
    "0 to 1",
    "Wang et al. 2022",
    key="subject-suppressor",
    family="Answer",
    targets=lambda rows: rows.cell("end", "subject again"),
    asks="a subject that stands twice before the last token",
    example=Example(
        ("a", "b", "c", "d"),
        ((1.0,), (0.3, 0.7), (0.2, 0.6, 0.2), (0.4, 0.3, 0.2, 0.1)),
        0.2,
        places={"end": 3, "subject": 0, "subject again": 2},
    ),
    needs=("set", "run", "pattern", "score"),
    code="""
cells = torch.zeros_like(earlier_copies)
each = torch.arange(len(tokens))
cells[each, torch.tensor(PLACES["end"]), torch.tensor(PLACES["subject again"])] = True
result = attention_on(cells)
""",
)
