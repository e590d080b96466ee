"""Heads that raise what they attend to, by their weights."""

from analysis.definitions.role import Role

ROLE = Role(
    "Copying",
    "Raises whatever it attends to.",
    "share of tokens drawn from the vocabulary that are among the 5 which OV raises most when a "
    "head attends to them; OV of what block 0 makes of a token behind BOS",
    "0 to 1; chance 5 / d_vocab",
    "Wang et al. 2022; ARENA 1.2, section 4.4",
    key="copying",
    family="Weights",
    weights=lambda of: (of.copying(lowered=False, k=5, own=False), 5 / of.d_vocab),
)
