"""The name of one attention head."""

import re
from dataclasses import dataclass

_LABEL = re.compile(r"L(\d{1,4})H(\d{1,4})")


@dataclass(frozen=True, order=True, slots=True)
class Head:
    """One attention head, counted from 0; written `L5H1`."""

    layer: int
    head: int

    def __post_init__(self) -> None:
        if self.layer < 0 or self.head < 0:
            raise ValueError(f"layer {self.layer} and head {self.head} must not be negative")

    @property
    def label(self) -> str:
        """The field's name for the head, such as `L5H1`."""
        return f"L{self.layer}H{self.head}"

    @classmethod
    def parse(cls, label: str) -> "Head":
        """The head that `label` names; ValueError unless it reads like `L5H1`."""
        match = _LABEL.fullmatch(label)
        if not match:
            raise ValueError(f"{label!r} is not a head label such as 'L5H1'")
        return cls(int(match[1]), int(match[2]))
