"""A finding: a claim about heads, with the views and numbers that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from analysis.definitions import Quantity
from analysis.head import Head
from app.compute.findings.readings import Reading, selection_of
from app.links.link import whole_link
from app.links.pages import page_info
from app.links.parameters import BY_KEY
from app.links.parsers import Value
from app.links.selection import Selection, said_input

# Of a collection, and of one finding.
MAX_FINDINGS, MAX_EVIDENCE, MAX_NAMES = 50, 20, 20
# Characters.
MAX_CLAIM, MAX_NOTE, MAX_NAME, MAX_TITLE = 300, 5_000, 40, 200
# Settings that the title says, and values of others that go without saying.
_IN_TITLE = {"layer", "head", "layer2", "head2", "group"}
_USUAL: dict[str, Value] = {"swap": 0, "sequence": 0}


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was read: which one, what settles it, its value, and when that was."""

    reading: Reading
    settings: Mapping[str, Value]
    value: float
    date: str

    @property
    def quantity(self) -> Quantity:
        """What it is."""
        return self.reading.quantity

    @property
    def model(self) -> str:
        """The name of the model."""
        return str(self.settings["model"])

    @property
    def head(self) -> Head | None:
        """The head that it is about; None for several, or for the model."""
        if "layer" not in self.settings:
            return None
        return Head(int(self.settings["layer"] or 0), int(self.settings["head"] or 0))

    @property
    def heads(self) -> str:
        """The heads that it is about, in one word; empty for the model itself."""
        if "layer2" in self.settings:
            return f"L{self.settings['layer2']}H{self.settings['head2']} into {self.head_label}"
        return str(self.settings.get("group") or self.head_label).replace(",", ", ")

    @property
    def head_label(self) -> str:
        """The label of its head; empty where it has none."""
        return self.head.label if self.head else ""

    @property
    def title(self) -> str:
        """What it is, of which heads."""
        heads = self.heads
        return f"{self.reading.title} of {heads}" if heads else self.reading.title

    @property
    def said(self) -> str:
        """Its settings in words; may quote what a person has typed."""
        parts = [self.model, _input_of(self)]
        for key in self.reading.settings:
            value = self.settings[key]
            if key not in _IN_TITLE and value not in (None, _USUAL.get(key)):
                parts.append(f"{BY_KEY[key].said.lower()} {BY_KEY[key].text(value)}")
        return " · ".join(parts)

    @property
    def link(self) -> tuple[str, dict[str, str]]:
        """The page that shows it, and the query parameters of its view."""
        values = {**self.settings, **self.reading.shown_by}
        return self.reading.page, whole_link(self.reading.page, values)

    def selection(self) -> Selection:
        """The view that shows it.

        Raises:
            AnalysisError: The model is not here, or lacks what the settings name.
        """
        return selection_of(self.reading, self.settings)


def _input_of(number: Number) -> str:
    if number.reading.on == "weights":
        return "from the weights alone"
    if number.reading.on == "set":
        return f"{number.settings['rows']} prompts of the set {number.settings['set']}"
    bare = number.settings.get("bos") is False
    return f"{said_input(number.settings)}{' without BOS' if bare else ''}"


@dataclass(frozen=True, slots=True)
class View:
    """A view that a finding rests on: a page and the values of its link."""

    page: str
    values: Mapping[str, Value]
    title: str

    @property
    def link(self) -> tuple[str, dict[str, str]]:
        """The page, and the query parameters of its view."""
        return self.page, whole_link(self.page, self.values)


Evidence = Number | View


@dataclass(frozen=True, slots=True)
class HeadName:
    """What a person calls a head of a model."""

    model: str
    head: Head
    name: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim, what it rests on, and words of one's own.

    `id` tells it from others in a browser: 12 hexadecimal digits.
    """

    id: str
    claim: str
    note: str = ""
    evidence: tuple[Evidence, ...] = ()
    names: tuple[HeadName, ...] = ()

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The numbers that it rests on."""
        return tuple(each for each in self.evidence if isinstance(each, Number))

    def named(self, model: str, head: Head) -> str:
        """What a head is called in it; empty where it has no name."""
        return next((n.name for n in self.names if (n.model, n.head) == (model, head)), "")

    def with_name(self, model: str, head: Head, name: str) -> Finding:
        """The same with another name of a head; none takes it away."""
        others = tuple(n for n in self.names if (n.model, n.head) != (model, head))
        added = (HeadName(model, head, name),) if name else ()
        return replace(self, names=(*others, *added))


def title_of(evidence: Evidence) -> str:
    """What a piece of evidence is called; may quote what a person has typed."""
    if isinstance(evidence, Number):
        return evidence.title
    return evidence.title or page_info(evidence.page).title
