"""Attention patterns from anywhere, checked: causal ones, unless it is said that they are not."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from analysis.arrays import freeze
from analysis.errors import AnalysisError
from analysis.head import Head

EXPECTED = "[layer, head, dest, src] of one sequence"
_HOOK = re.compile(r"blocks\.([0-9]{1,6})\.attn\.hook_pattern")
_ASK = (
    'Ask transformers with output_attentions=True and attn_implementation="eager", or use '
    "headscope.patterns_of."
)
_NONE = f"There are no patterns here: the model gave none. {_ASK}"
# How far a row may miss a sum of 1: by rounding, of which 16 bits have more.
_EXACT, _ROUNDED = 1e-3, 2e-2


@dataclass(frozen=True, eq=False)
class CheckedPatterns:
    """Patterns of one sequence; `layers` says which layer each row of `values` is.

    Causal ones have nothing ahead of a destination; an encoder's are `bidirectional`, and so are
    those of `two_texts`, whose destinations are of one and whose sources of the other.
    """

    values: Float[np.ndarray, "layer head dest src"]
    layers: tuple[int, ...]
    bidirectional: bool = False
    two_texts: bool = False

    def __post_init__(self) -> None:
        if len(self.layers) != len(self.values):
            raise ValueError(f"{len(self.layers)} layer numbers for {len(self.values)} layers")
        freeze(self, "values")

    @property
    def heads(self) -> tuple[Head, ...]:
        """Every head, layer by layer."""
        return tuple(
            Head(layer, head) for layer in self.layers for head in range(self.values.shape[1])
        )

    def of(self, head: Head) -> Float[np.ndarray, "dest src"]:
        """The pattern of one head.

        Raises:
            AnalysisError: No pattern of it was given.
        """
        if head not in self.heads:
            first, last = self.heads[0].label, self.heads[-1].label
            raise AnalysisError(
                f"There is no pattern of {head.label}; there are {first} to {last}."
            )
        chosen: np.ndarray = self.values[self.layers.index(head.layer), head.head]
        return chosen


def check_patterns(
    patterns: Any, bidirectional: bool = False, two_texts: bool = False
) -> CheckedPatterns:
    """Patterns as arrays of numpy or PyTorch, one or one for each layer, or a cache of them.

    Taken are [layer, head, dest, src], [head, dest, src] or [dest, src]; a list or tuple with
    [batch, head, dest, src] or [head, dest, src] for each layer, such as what transformers gives
    with `output_attentions`, or its whole output; and a mapping that holds
    `blocks.0.attn.hook_pattern` and so on, such as TransformerLens's cache. A batch may hold one
    sequence. An encoder's are `bidirectional`: unless it is said, attention to a later token is
    taken for a mistake. Those from one text to another (`two_texts`) need not be as high as wide.

    Raises:
        AnalysisError: Another shape, several sequences, values that are no numbers, rows that do
            not sum to 1, or attention to later tokens of causal patterns. The sentence says where,
            and what fits.
    """
    layers, given = _by_layer(patterns)
    arrays = [_numbers(each) for each in given]
    shapes = {array.shape for array, _ in arrays}
    if len(shapes) != 1:
        raise AnalysisError(
            f"The layers have patterns of different shapes, {_said(shapes)}. Expected is "
            f"{EXPECTED}."
        )
    values = np.stack([array for array, _ in arrays])
    tolerance = max(tolerance for _, tolerance in arrays)
    everywhere = bidirectional or two_texts
    checked = CheckedPatterns(_of_one_sequence(values, two_texts), layers, everywhere, two_texts)
    _check_rows(checked, tolerance)
    shares = checked.values.clip(0, 1)
    return replace(checked, values=shares if everywhere else np.tril(shares))


def check_tokens(tokens: Iterable[Any], count: int) -> list[str]:
    """The labels of a sequence of `count` tokens.

    Raises:
        AnalysisError: Another number of them, or what is no text.
    """
    try:
        labels = list(tokens)
    except TypeError:
        raise AnalysisError(
            f"Tokens are a list of texts, one for each of {count} positions; what was given is of "
            f"type {type(tokens).__name__}."
        ) from None
    if strange := [type(each).__name__ for each in labels if not isinstance(each, str)]:
        raise AnalysisError(
            f"Tokens are texts, one for each position; one of them is of type {strange[0]}. Of "
            "ids, the tokenizer's convert_ids_to_tokens gives them."
        )
    if len(labels) != count:
        raise AnalysisError(
            f"{len(labels)} tokens for patterns of {count} positions; expected is one for each."
        )
    # JSON holds halves of characters, which no browser can be sent.
    return [str(label).encode("utf-8", "backslashreplace").decode() for label in labels]


def _by_layer(patterns: Any) -> tuple[tuple[int, ...], Sequence[Any]]:
    """Numbers of layers, and the array of each."""
    # An output of transformers; asked before a mapping, which it also is.
    if hasattr(patterns, "attentions"):
        patterns = patterns.attentions
    elif hasattr(patterns, "cross_attentions"):
        raise AnalysisError(
            "This is the output of an encoder with a decoder. Give one part of it: its "
            "encoder_attentions, decoder_attentions or, with sources=…, cross_attentions."
        )
    if patterns is None:
        raise AnalysisError(_NONE)
    if isinstance(patterns, Mapping) or hasattr(patterns, "cache_dict"):
        found = {
            int(match[1]): patterns[name]
            for name in patterns.keys()  # noqa: SIM118  # a cache iterates over something else
            if isinstance(name, str) and (match := _HOOK.fullmatch(name))
        }
        if not found:
            raise AnalysisError(
                "This cache holds no pattern: expected are names such as "
                "blocks.0.attn.hook_pattern."
            )
        return tuple(sorted(found)), [found[layer] for layer in sorted(found)]
    if isinstance(patterns, list | tuple):
        if missing := [str(i) for i, each in enumerate(patterns) if each is None]:
            raise AnalysisError(f"Of layer {missing[0]} there is no pattern. {_ASK}")
        if not patterns:
            raise AnalysisError(_NONE)
        if all(np.ndim(each) >= 3 for each in patterns):
            return tuple(range(len(patterns))), patterns
    array = patterns if hasattr(patterns, "ndim") else np.asarray(patterns, dtype=object)
    if array.ndim in (4, 5) and len(array):
        return tuple(range(len(array))), list(array)
    if array.ndim in (2, 3) and len(array):
        return (0,), [patterns]
    raise AnalysisError(
        f"Patterns of shape {_shape(array.shape)} cannot be shown. Expected is {EXPECTED}."
    )


def _numbers(given: Any) -> tuple[np.ndarray, float]:
    """An array of one layer in 32 bits, and how far its rows may miss 1."""
    values = real_numbers(given, "Patterns", EXPECTED)
    few_bits = getattr(given, "dtype", values.dtype).itemsize <= 2
    return values.astype(np.float32), _ROUNDED if few_bits else _EXACT


def real_numbers(given: Any, what: str, expected: str) -> np.ndarray:
    """An array of numpy or PyTorch, or lists, as an array of numpy.

    Raises:
        AnalysisError: It is none, or not one of real numbers.
    """
    try:
        if hasattr(given, "detach"):
            given = given.detach().to("cpu")
            # numpy has fewer kinds of numbers; of a complex one half would be lost.
            given = (given if given.dtype.is_complex else given.float()).numpy()
        given = np.asarray(given)
    # Lists of different lengths; tensors without numbers, or without one for each place.
    except (TypeError, ValueError, RuntimeError):
        raise AnalysisError(f"What was given is no array. Expected is {expected}.") from None
    if given.dtype.kind not in "fiu":
        raise AnalysisError(
            f"{what} are real numbers, and these are of the type {given.dtype}. Expected is "
            f"{expected}."
        )
    values: np.ndarray = given
    return values


def _of_one_sequence(values: np.ndarray, two_texts: bool) -> np.ndarray:
    """[layer, head, dest, src], of [layer, dest, src] or of a batch of one."""
    shape = values.shape
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim == 5:
        if shape[1] != 1:
            raise AnalysisError(
                f"A batch of {shape[1]} sequences was given, and one is shown. Choose it, such as "
                f"layer[:1] of every layer; expected is {EXPECTED}."
            )
        values = values[:, 0]
    fits = values.ndim == 4 and (two_texts or values.shape[2] == values.shape[3])
    if not fits or 0 in values.shape:
        equal = "" if two_texts else "the last two are equally many, unless sources are given, and "
        raise AnalysisError(
            f"Patterns of shape {_shape(shape)} cannot be shown: of {EXPECTED} {equal}none is 0."
        )
    return values


def _check_rows(patterns: CheckedPatterns, tolerance: float) -> None:
    values = patterns.values
    if (place := _first(~np.isfinite(values))) is not None:
        raise AnalysisError(
            f"{_where(patterns, place)} is {values[place]}. Attention is a number from 0 to 1."
        )
    if (place := _first((values < -tolerance) | (values > 1 + tolerance))) is not None:
        raise AnalysisError(
            f"{_where(patterns, place)} is {values[place]:.3g}. Attention is a number from 0 to 1, "
            "after the softmax."
        )
    sums = values.sum(-1, dtype=np.float64)
    if (place := _first(np.abs(sums - 1) > tolerance)) is not None:
        layer, head, dest = place
        name = Head(patterns.layers[layer], head).label
        raise AnalysisError(
            f"Rows of a pattern sum to 1, and row {dest} of {name} sums to {sums[place]:.3g}. "
            f"Expected is {EXPECTED}, after the softmax and any mask."
        )
    ahead = np.triu(values, 1)
    if not patterns.bidirectional and (place := _first(ahead > tolerance)) is not None:
        raise AnalysisError(
            f"{_where(patterns, place)} is {ahead[place]:.3g}, attention to a later token. Causal "
            f"patterns are {EXPECTED}, src up to dest; of an encoder say bidirectional=True."
        )


def _first(found: np.ndarray) -> tuple[int, ...] | None:
    place = int(found.argmax())
    if not found.flat[place]:
        return None
    return tuple(int(i) for i in np.unravel_index(place, found.shape))


def _where(patterns: CheckedPatterns, place: tuple[int, ...]) -> str:
    layer, head, dest, src = place
    return f"Attention of {Head(patterns.layers[layer], head).label} from {dest} to {src}"


def _shape(shape: Iterable[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _said(shapes: set[tuple[int, ...]]) -> str:
    return " and ".join(_shape(each) for each in sorted(shapes)[:2])
