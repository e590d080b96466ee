"""What a model writes after a prompt, as it is and with a recipe of interventions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.effects.intervene import StepHooks, first_layer
from analysis.effects.recipe import Acts, Borrow, Look, Patch, Step, Weigh, steps_to_make
from analysis.errors import AnalysisError
from analysis.limits import MAX_TEMPERATURE, MAX_WRITTEN
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, run
from analysis.runs.inputs import Tokens, token_texts
from analysis.runs.suffix import continued, record

_IN_PROMPT = (Look, Weigh, Borrow, Patch)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Written:
    """Two continuations of one prompt: as it is, and with a recipe.

    `probs` are of the tokens written with the recipe, each behind what stands before it there: in
    row 0 without the recipe, in row 1 with it.
    """

    clean: Int[np.ndarray, " clean"]
    edited: Int[np.ndarray, " edited"]
    clean_labels: tuple[str, ...]
    edited_labels: tuple[str, ...]
    probs: Float[np.ndarray, "side=2 edited"]

    def __post_init__(self) -> None:
        freeze(self, "clean", "edited", "probs")

    @property
    def differs_at(self) -> int | None:
        """The first place at which they differ; None where neither does."""
        shared = min(len(self.clean), len(self.edited))
        apart = np.nonzero(self.clean[:shared] != self.edited[:shared])[0]
        if len(apart):
            return int(apart[0])
        return None if len(self.clean) == len(self.edited) else shared


def write_on(
    model: HeadModel,
    tokens: Tokens,
    recipe: str,
    count: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    acts: Acts = "both",
    second: Tokens | None = None,
    progress: Progress | None = None,
) -> Written:
    """Let a model write on, without and with a recipe.

    At temperature 0 each token is the most likely one (of equals the lower id). Above it token i is
    the one in whose share of softmax(logits / temperature), tokens in the order of their ids, falls
    the i-th number that `seed` draws: the same number for both continuations, so that they differ
    only where the recipe changes what is likely. A continuation ends early at the end-of-text
    token. Every token is written by a whole forward pass, so no number depends on a cache.

    Args:
        model: The model.
        tokens: One sequence.
        recipe: Steps, as `analysis.effects.recipe.parse_recipe` reads them.
        count: How many tokens are written, 1 to `MAX_WRITTEN`.
        temperature: 0 to `MAX_TEMPERATURE`.
        seed: Of the numbers that are drawn, and of resampling.
        acts: Where the recipe acts. Steps that name positions or take a pattern are of the prompt.
        second: The second prompt, for steps that take something of it.
        progress: Told how many tokens of how many are written; may raise to end it.

    Raises:
        AnalysisError: As `analysis.effects.intervene.intervene`; a count or temperature out of
            range, or more tokens than the model's context has room for.
    """
    if tokens.batch > 1:
        raise AnalysisError("One sequence is continued. Choose one.")
    if not 1 <= count <= MAX_WRITTEN:
        raise AnalysisError(f"{count} tokens were asked for; 1 to {MAX_WRITTEN} are possible.")
    if not 0 <= temperature <= MAX_TEMPERATURE:
        raise AnalysisError(f"The temperature is {temperature:g}; 0 to {MAX_TEMPERATURE:g} it is.")
    if tokens.length + count > model.n_ctx:
        raise AnalysisError(
            f"{tokens.length} tokens and {count} more are beyond the {model.n_ctx} that "
            f"{model.name} takes. Write fewer, or shorten the prompt."
        )
    steps = steps_to_make(model.info, recipe, tokens.length, second.length if second else None)
    hooks, first = _acting(model, tokens, steps, second, seed, count, acts)
    drawn = np.random.default_rng([seed, 2]).random(count)
    end = model.tokenizer.eos_token_id
    clean = edited = tokens.tensor
    probs: list[tuple[float, float]] = []
    for index in range(count):
        # Until they differ, the run as it is serves both.
        together = clean.shape == edited.shape and torch.equal(clean, edited)
        if int(edited[0, -1]) != end or not index:
            before, after = _both(model, edited, hooks, first)
            chosen = _next(after, temperature, drawn[index])
            probs.append((float(before.softmax(-1)[chosen]), float(after.softmax(-1)[chosen])))
            edited = torch.cat([edited, torch.tensor([[chosen]])], 1)
        if int(clean[0, -1]) != end or not index:
            as_it_is = before if together else run(model, clean)[0][0, -1]
            chosen = _next(as_it_is, temperature, drawn[index])
            clean = torch.cat([clean, torch.tensor([[chosen]])], 1)
        if progress is not None:
            progress(index + 1, count)
    new = [to_numpy(ids[0, tokens.length :]) for ids in (clean, edited)]
    return Written(
        clean=new[0],
        edited=new[1],
        clean_labels=token_texts(model.tokenizer, new[0].tolist()),
        edited_labels=token_texts(model.tokenizer, new[1].tolist()),
        probs=np.array(probs).T,
    )


def _acting(
    model: HeadModel,
    tokens: Tokens,
    steps: Sequence[Step],
    second: Tokens | None,
    seed: int,
    room: int,
    acts: Acts,
) -> tuple[list[tuple[str, Hook]], int]:
    """The hooks of the steps that act, and the first layer that they change."""
    begin = tokens.length if acts == "written" else 0
    stop = tokens.length if acts == "prompt" else None
    acting = [step for step in steps if acts != "written" or not isinstance(step, _IN_PROMPT)]
    hooks = StepHooks(model, tokens, second, seed, room, begin, stop).of(acting)
    return hooks, min((first_layer(step) for step in acting), default=model.n_layers)


def _both(
    model: HeadModel, ids: Int[Tensor, "1 pos"], hooks: Sequence[tuple[str, Hook]], first: int
) -> tuple[Float[Tensor, " d_vocab"], Float[Tensor, " d_vocab"]]:
    """The next token's logits, without and with hooks."""
    recording = record(model, ids)
    before = recording.logits[0, -1]
    if not hooks:
        return before, before
    return before, continued(model, recording, first, hooks)[0, -1]


def _next(logits: Float[Tensor, " d_vocab"], temperature: float, drawn: float) -> int:
    if not torch.isfinite(logits).all():
        raise AnalysisError(
            "With this recipe some logits are not finite (NaN or infinite). Take smaller numbers."
        )
    if temperature == 0:
        return int(logits.argmax())
    shares = (logits.double() / temperature).softmax(-1).cumsum(-1)
    return min(int(torch.searchsorted(shares, drawn)), len(logits) - 1)
