"""Heads that write the next of an ordered list, by their weights."""

from analysis.definitions.role import Role

ROLE = Role(
    "Successor",
    "Attending to one of an ordered list, it raises the next one most.",
    "share of the members of ordered lists (days, months, numbers, letters) for which the argmax "
    "of OV over the members of their list is the next one; OV of what block 0 makes of a token "
    "behind BOS",
    "0 to 1; chance is 1 / length of the list",
    "Gould et al. 2023",
    key="successor",
    family="Weights",
    weights=lambda of: of.successors(),
)
