"""Heads that lower what they attend to, by their weights."""

from analysis.definitions.role import Role

ROLE = Role(
    "Copy suppression",
    "Lowers whatever it attends to.",
    "share of tokens drawn from the vocabulary that are among the 10 which OV lowers most when a "
    "head attends to them; OV of what block 0 makes of a token behind BOS",
    "0 to 1; chance 10 / d_vocab",
    "McDougall et al. 2023, by weights",
    key="copy-suppression",
    family="Weights",
    weights=lambda of: (of.copying(lowered=True, k=10, own=False), 10 / of.d_vocab),
)
