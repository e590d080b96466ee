"""What is done to a model by hand: a list of steps that a link can hold.

Free of torch, so that a page can read and show a recipe before anything is run.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

from analysis.effects.steps import (
    LEAST_DIAL,
    MOST_ADDED,
    MOST_DIAL,
    MOST_FIRED,
    Borrow,
    Dial,
    Fire,
    Look,
    OfSecond,
    Patch,
    Push,
    Steer,
    Step,
    Swap,
    Weigh,
)
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.info import ModelInfo

MAX_STEPS = 20
# Where a recipe acts while more is written: on the prompt, on what is written, or on both.
Acts = Literal["both", "prompt", "written"]
ACTS: tuple[Acts, ...] = get_args(Acts)
# Before a step that is listed and not made.
_OFF = "off-"
_BETWEEN = "_"
_NUMBER = r"(-?\d{1,3}(?:\.\d{1,4})?)"
_INDEX = r"(\d{1,6})"


@dataclass(frozen=True, slots=True)
class Listed:
    """A step of a recipe, and whether it is made."""

    step: Step
    on: bool = True

    @property
    def text(self) -> str:
        """As a recipe holds it."""
        return self.step.text if self.on else _OFF + self.step.text


def parse_recipe(text: str) -> tuple[Listed, ...]:
    """The steps of a recipe, in order.

    `L1H4x0.5` dials a head, `L1H4-mean` and `L1H4-resample` swap its output, `L1H4v2x0.8` adds
    what it writes from position 2, `L1H4q5k2` makes it
    look from position 5 at position 2 alone, `L1H4q5k2x0.3` sets one cell, `L1H4-borrow` takes its
    pattern of the second prompt, `L2N130x4` sets a neuron, `R3p5` patches the stream into layer 3
    at position 5, `R3x0.8` steers it. `off-` before a step leaves it out; `_` stands between steps.

    Raises:
        AnalysisError: A step that reads like none of these, a number out of range, or more than
            `MAX_STEPS` steps.
    """
    parts = [part for part in text.split(_BETWEEN) if part]
    if len(parts) > MAX_STEPS:
        raise AnalysisError(
            f"The recipe has {len(parts)} steps; at most {MAX_STEPS} are possible. Remove some."
        )
    return tuple(
        Listed(_parsed(part.removeprefix(_OFF)), not part.startswith(_OFF)) for part in parts
    )


def recipe_text(steps: Iterable[Listed | Step]) -> str:
    """The recipe as a link holds it; `parse_recipe` reads it again."""
    return _BETWEEN.join(step.text for step in steps)


def steps_to_make(info: ModelInfo, recipe: str, length: int, second: int | None) -> list[Step]:
    """The steps of a recipe that are switched on, seen to have a place.

    Args:
        info: The model.
        recipe: As `parse_recipe` reads it.
        length: Tokens of the prompt.
        second: Tokens of the second prompt; None without one.

    Raises:
        AnalysisError: As `parse_recipe` and `require_steps`.
    """
    steps = [listed.step for listed in parse_recipe(recipe) if listed.on]
    require_steps(info, steps, length, second)
    return steps


def _parsed(part: str) -> Step:
    head = rf"L{_INDEX}H{_INDEX}"
    if found := re.fullmatch(rf"{head}x{_NUMBER}", part, re.ASCII):
        factor = _within(found[3], LEAST_DIAL, MOST_DIAL, "A head is dialled")
        return Dial(Head(int(found[1]), int(found[2])), factor)
    if found := re.fullmatch(rf"{head}-(mean|resample|borrow)", part, re.ASCII):
        of = Head(int(found[1]), int(found[2]))
        if found[3] == "borrow":
            return Borrow(of)
        return Swap(of, "mean" if found[3] == "mean" else "resample")
    if found := re.fullmatch(rf"{head}v{_INDEX}x{_NUMBER}", part, re.ASCII):
        factor = _within(found[4], -MOST_ADDED, MOST_ADDED, "What a head writes is added")
        return Push(Head(int(found[1]), int(found[2])), int(found[3]), factor)
    if found := re.fullmatch(rf"{head}q{_INDEX}k{_INDEX}(?:x{_NUMBER})?", part, re.ASCII):
        of, dest, src = Head(int(found[1]), int(found[2])), int(found[3]), int(found[4])
        if found[5] is None:
            return Look(of, dest, src)
        return Weigh(of, dest, src, _within(found[5], 0.0, 1.0, "A cell is set"))
    if found := re.fullmatch(rf"L{_INDEX}N{_INDEX}x{_NUMBER}", part, re.ASCII):
        value = _within(found[3], -MOST_FIRED, MOST_FIRED, "A neuron is set")
        return Fire(int(found[1]), int(found[2]), value)
    if found := re.fullmatch(rf"R{_INDEX}p{_INDEX}", part, re.ASCII):
        return Patch(int(found[1]), int(found[2]))
    if found := re.fullmatch(rf"R{_INDEX}x{_NUMBER}", part, re.ASCII):
        factor = _within(found[2], -MOST_ADDED, MOST_ADDED, "A direction is added")
        return Steer(int(found[1]), factor)
    raise AnalysisError(
        f"“{part[:40]}” is no step of a recipe. A step reads like L1H4x0.5, L1H4-mean, L1H4q5k2, "
        "L2N130x4, R3p5 or R3x0.8."
    )


def _within(text: str, least: float, most: float, doing: str) -> float:
    value = float(text) + 0.0  # -0 is 0
    if not least <= value <= most:
        raise AnalysisError(f"{doing} to {least:g} … {most:g}, not {value:g}.")
    return value


def require_steps(info: ModelInfo, steps: Sequence[Step], length: int, second: int | None) -> None:
    """Refuse steps that a model or its prompts have no place for.

    Args:
        info: The model.
        steps: The steps that are made.
        length: Tokens of the prompt.
        second: Tokens of the second prompt; None without one.

    Raises:
        AnalysisError: A layer, head, neuron or position that is not there, a head that would look
            ahead, or a second prompt that is missing or has another number of tokens.
    """
    for step in steps:
        match step:
            case Dial(head) | Swap(head) | Borrow(head):
                require_heads(info, head)
            case Push(head, src):
                require_heads(info, head)
                _require_position(src, length)
            case Look(head, dest, src) | Weigh(head, dest, src):
                require_heads(info, head)
                _require_position(max(dest, src), length)
                if src > dest:
                    raise AnalysisError(
                        f"{head.label} cannot look from position {dest} ahead to {src}. Choose a "
                        "source up to the destination."
                    )
            case Fire(layer, neuron):
                _require_layer(info, layer)
                if neuron >= info.d_mlp:
                    raise AnalysisError(
                        f"Neuron {neuron} was asked for; {info.name} has {info.d_mlp} in a layer."
                    )
            case Patch(layer, position):
                _require_layer(info, layer)
                _require_position(position, length)
            case Steer(layer):
                _require_layer(info, layer)
        if isinstance(step, OfSecond):
            _require_second(step, length, second)


def _require_layer(info: ModelInfo, layer: int) -> None:
    if layer >= info.n_layers:
        raise AnalysisError(
            f"Layer {layer} was asked for; {info.name} has layers 0 to {info.n_layers - 1}."
        )


def _require_position(position: int, length: int) -> None:
    if position >= length:
        raise AnalysisError(
            f"Position {position} was asked for; the prompt has positions 0 to {length - 1}."
        )


def _require_second(step: OfSecond, length: int, second: int | None) -> None:
    if second is None:
        raise AnalysisError(f"“{step.said}” needs a second prompt. Type one.")
    if second != length and not isinstance(step, Steer):
        raise AnalysisError(
            f"“{step.said}” needs a second prompt of as many tokens: the first has {length}, the "
            f"second {second}. Change one of them."
        )


def clashes(steps: Sequence[Step]) -> Iterator[tuple[Step, Step]]:
    """Pairs of steps whose order changes what the model does: they set the same numbers.

    All other steps commute: those of one head's output or of one stream that only scale or only
    add, and those of different places, since a model computes these in its own order.
    """
    for first, second in combinations(steps, 2):
        if first != second and _clash(first, second):
            yield first, second


def _clash(first: Step, second: Step) -> bool:
    match first, second:
        case (Dial(), Dial()) | (Push(), Push()) | (Steer(), Steer()) | (Patch(), Patch()):
            return False
        case (Dial(a) | Swap(a) | Push(a), Dial(b) | Swap(b) | Push(b)):
            return a == b
        case (Borrow(a), Look(b) | Weigh(b)) | (Look(a) | Weigh(a), Borrow(b)):
            return a == b
        case (Weigh(a, dest, src), Weigh(b, its_dest, its_src)):
            return (a, dest, src) == (b, its_dest, its_src)
        case (Look(a, dest) | Weigh(a, dest), Look(b, its_dest) | Weigh(b, its_dest)):
            return (a, dest) == (b, its_dest)
        case (Fire(layer, neuron), Fire(its_layer, its_neuron)):
            return (layer, neuron) == (its_layer, its_neuron)
        case (Patch(layer), Steer(its_layer)) | (Steer(layer), Patch(its_layer)):
            return layer == its_layer
    return False
