"""What takes the place of a head's output when it is ablated."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.errors import AnalysisError
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits
from analysis.runs.inputs import Tokens
from analysis.runs.pieces import rows_at_once
from analysis.runs.suffix import z_points

Method = Literal["zero", "mean", "resample"]
METHODS: tuple[Method, ...] = get_args(Method)

# What a single sequence is set against, since it has no others. In the public domain.
REFERENCE = "The Secret Garden, by Frances Hodgson Burnett (1911), the beginning of chapter IX"
_TEXT = Path(__file__).with_name("reference.txt")
# Windows of that text, each as long as the sequence, evenly spaced; it wraps around at its end.
WINDOWS = 10
# Numbers of one model's reference that are kept for the next question: 32 MiB.
MOST_KEPT = 2**23


def check_method(method: str) -> None:
    """AnalysisError if a method is unknown."""
    if method not in METHODS:
        raise AnalysisError(f"Method {method!r} is unknown. Choose one of: {', '.join(METHODS)}.")


def replacement_note(method: Method, tokens: Tokens) -> str:
    """What a single sequence is set against; empty where its batch or zero takes that place."""
    if method == "zero" or tokens.batch > 1:
        return ""
    what = "the mean over" if method == "mean" else "one of"
    return f"Replacements are {what} {WINDOWS} stretches of a reference text ({REFERENCE})."


def replacement(
    z: Float[Tensor, "batch pos head d_head"],
    method: str,
    seed: int,
    reference: Float[Tensor, "pos head d_head"] | None = None,
) -> Float[Tensor, "batch pos head d_head"]:
    """What takes the place of each head's z; `reference` where the text above does."""
    if method == "zero":
        return z.new_zeros(()).expand_as(z)
    if reference is not None:
        return reference.expand_as(z)
    if method == "mean":
        return z.mean(0, keepdim=True).expand_as(z)
    # One cycle through all sequences in random order: none stays where it is.
    circle = np.random.default_rng(seed).permutation(len(z))
    source = np.empty_like(circle)
    source[circle] = np.roll(circle, 1)
    return z[torch.from_numpy(source)]


def reference_z(
    model: HeadModel, tokens: Tokens, method: str, seed: int
) -> Sequence[Float[Tensor, "pos head d_head"] | None]:
    """By layer, what `replacement` takes from the reference text: nothing where it needs none."""
    points = z_points(model)
    if method == "zero" or tokens.batch > 1:
        return [None] * len(points)
    windows = reference_windows(model, tokens)
    if method == "resample":
        chosen = int(np.random.default_rng(seed).integers(len(windows)))
        windows = windows[chosen : chosen + 1]
    known, reference = _REFERENCES.get(model, (None, []))
    # An estimate, the sweep behind it and every single head ask for the same.
    if known is None or not torch.equal(known, windows):
        means = mean_over(model, windows, points)
        reference = [means[point] for point in points]
        if sum(mean.numel() for mean in reference) <= MOST_KEPT:
            _REFERENCES[model] = windows, reference
    return reference


# The last of each loaded model.
_REFERENCES: WeakKeyDictionary[HeadModel, tuple[Tensor, list[Tensor]]] = WeakKeyDictionary()


def replaced_z(
    model: HeadModel,
    tokens: Tokens,
    z: Iterable[Float[Tensor, "batch pos head d_head"]],
    method: str,
    seed: int,
) -> list[Float[Tensor, "batch pos head d_head"]]:
    """By layer, what takes the place of each head's z in a run."""
    others = reference_z(model, tokens, method, seed)
    return [replacement(own, method, seed, other) for own, other in zip(z, others, strict=True)]


def reference_windows(model: HeadModel, tokens: Tokens) -> Int[Tensor, "window pos"]:
    """Stretches of the reference text, as long as the sequence, behind BOS if that begins with it.

    They depend on the ids alone, so that the same ids always have the same replacements.
    """
    n_first = int(tokens.ids[0, 0] == model.bos_id)
    windows = reference_ids(model, tokens.length - n_first)
    first = tokens.tensor[:1, :n_first].expand(WINDOWS, -1)
    return torch.cat([first, windows], 1)


def reference_ids(model: HeadModel, length: int) -> Int[Tensor, "window pos"]:
    """`WINDOWS` stretches of the reference text, evenly spread over it."""
    ids = torch.tensor(model.tokenizer.encode(_TEXT.read_text("utf-8"), add_special_tokens=False))
    starts = torch.arange(WINDOWS) * len(ids) // WINDOWS
    return ids[(starts[:, None] + torch.arange(length)) % len(ids)]


def mean_over(
    model: HeadModel, windows: Int[Tensor, "window pos"], points: Sequence[str]
) -> dict[str, Float[Tensor, "pos ..."]]:
    """Mean activations over sequences, which are run a few at a time: only their sum is held."""
    total: dict[str, Tensor] = {}
    length = windows.shape[1]
    for some in windows.split(rows_at_once(model.info, length)):
        kept = run_without_logits(model, some, points)
        for point in points:
            total[point] = kept[point].sum(0) + total.get(point, 0)
    return {point: value / len(windows) for point, value in total.items()}
