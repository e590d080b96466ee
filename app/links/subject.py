"""What a figure is about: every choice that a link leaves to the page, made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.effects.recipe import recipe_text
from analysis.head import Head
from app.links.selection import Selection
from app.text import display_token

if TYPE_CHECKING:
    from analysis.effects.circuit import HeadCircuit
    from analysis.effects.steps import Step
    from analysis.sets.fitted import FittedSet

# Heads that a name lists; more are counted.
_LISTED = 4


@dataclass(frozen=True, slots=True)
class Subject:
    """What one figure shows; its title, sentence, code, files and links say the same of it.

    A page resolves what its link leaves open once, and hands the result to the frame. What a
    figure is not about is None or empty.

    Args:
        selection: The model, and the input that it was run on.
        head: The head. Beside a `writer` it is the head that reads.
        heads: Several heads, side by side or taken together, in this order.
        writer: The earlier head whose output `head` reads.
        without: Heads that are replaced by zero meanwhile.
        layer: A layer, where the figure is about one and not about a head of it.
        neuron: A neuron of `layer`.
        sequence: Which of several sequences is drawn; None: all of them.
        dest: A destination (query), or the position that a prediction is made at.
        src: Its source (key).
        answer: Id of the token whose logit is split; None: the token that comes next.
        foil: Id of the token that it is compared with.
        token: Id of the token that is looked up.
        kept: Heads that are kept while all others are silenced.
        edges: How many edges are kept.
        activation: An activation by its name.
        column: Which head, key/value head or position of it.
        method: What an ablated output is replaced by, where the page fixes it.
        step: A step of training.
        prompts: The set of prompts that it is measured over, as the model reads it.
        groups: Groups of heads, the one that it is about first.
        circuits: Heads with the edges between them, the circuit that it is about first.
        text: The name of the text that it is about, in place of the input.
        text_file: Where that is, for code: beside the notebook, or in the app's repository.
        on_input: Whether the input says anything about it; False for weights alone.
        second: The other side of a comparison.
        steps: Interventions that are made.
        whose: The part of a conversation that each token is of.
    """

    selection: Selection
    head: Head | None = None
    heads: tuple[Head, ...] = ()
    writer: Head | None = None
    without: tuple[Head, ...] = ()
    layer: int | None = None
    neuron: int | None = None
    sequence: int | None = None
    dest: int | None = None
    src: int | None = None
    answer: int | None = None
    foil: int | None = None
    token: int | None = None
    kept: tuple[Head, ...] | None = None
    edges: int | None = None
    activation: str | None = None
    column: int | None = None
    method: str | None = None
    step: int | None = None
    prompts: FittedSet | None = None
    groups: tuple[tuple[Head, ...], ...] = ()
    circuits: tuple[HeadCircuit, ...] = ()
    text: str | None = None
    text_file: str | None = None
    on_input: bool = True
    second: Subject | None = None
    steps: tuple[Step, ...] = ()
    whose: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is about in one word, such as `L1H4` or `L2N17`; empty for all heads."""
        if self.neuron is not None:
            return f"L{self.layer}N{self.neuron}"
        if self.heads:
            listed = [head.label for head in self.heads[:_LISTED]]
            more = len(self.heads) - len(listed)
            return "-".join([*listed, *([f"and-{more}-more"] if more else [])])
        parts = [head.label for head in (self.writer, self.head) if head]
        alone = "-".join(parts)
        if self.without:
            parts += ["without", *(head.label for head in self.without)]
        if not parts and self.layer is not None:
            parts = [f"layer-{self.layer}"]
        if self.second and self.second.name != alone:
            parts += ["and", self.second.name]
        return "-".join(filter(None, parts))

    @property
    def described(self) -> str:
        """Model, input and heads in one line of plain text, for what is taken along."""
        parts = [self.selection.info.title]
        if self.prompts is not None:
            parts.append(f"{len(self.prompts.rows)} prompts of the set {self.prompts.of.name}")
        elif self.text is not None:
            parts.append(f"text “{display_token(self.text)}”")
        else:
            parts.append(self.selection.input_said if self.on_input else "from the weights alone")
        if (
            self.prompts is None
            and self.text is None
            and self.on_input
            and self.sequence is not None
            and self.selection["input"] == "repeated"
        ):
            parts.append(f"sequence {self.sequence}")
        if self.name:
            parts.append(self.name)
        if self.steps:
            parts.append(f"recipe {recipe_text(self.steps)}")
        return " · ".join(parts)
