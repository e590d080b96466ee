"""Heads that look at punctuation."""

from analysis.definitions.role import Example, Role

ROLE = Role(
    "Delimiter",
    "Attends to signs of punctuation before it.",
    "mean, over dest with a sign of punctuation before it, of the sum of pattern[dest, src] over "
    "those src; BOS is none",
    "0 to 1; chance is their share of the tokens so far",
    "Clark et al. 2019",
    key="delimiter",
    family="Position",
    targets=lambda rows: rows.earlier(rows.punctuation),
    asks="punctuation before the last token",
    example=Example(
        ("a", ",", "b", "c"),
        ((1.0,), (0.4, 0.6), (0.1, 0.7, 0.2), (0.1, 0.5, 0.3, 0.1)),
        (0.7 + 0.5) / 2,
        places={},
    ),
)
