"""What a model writes after a prompt, as it is and with a recipe of interventions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.effects.intervene import StepHooks
from analysis.effects.recipe import Acts, steps_to_make
from analysis.effects.steps import OF_PROMPT
from analysis.errors import AnalysisError
from analysis.limits import MAX_TEMPERATURE, MAX_WRITTEN
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook
from analysis.runs.inputs import Tokens, token_texts
from analysis.runs.onward import Onward

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
    def count(self) -> int:
        """Tokens of the longer one: how many have to be asked for to have both."""
        return max(len(self.clean), len(self.edited))

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
    swap: int = 0,
    acts: Acts = "both",
    second: Tokens | None = None,
    progress: Progress | None = None,
    told: Callable[[Written], None] | None = None,
) -> Written:
    """Let a model write on, without and with a recipe.

    At temperature 0 each token is the most likely one (of equals the lower id). Above it token i is
    the one in whose share of softmax(logits / temperature), tokens in the order of their ids, falls
    the i-th number that `seed` draws: the same number for both continuations, so that they differ
    only where the recipe changes what is likely. A continuation ends early at the end-of-text
    token. The first tokens are the same however many are asked for.

    Args:
        model: The model.
        tokens: One sequence.
        recipe: Steps, as `analysis.effects.recipe.parse_recipe` reads them.
        count: How many tokens are written, 1 to `MAX_WRITTEN`.
        temperature: 0 to `MAX_TEMPERATURE`.
        seed: Of the numbers that are drawn.
        swap: Of resampling, as the seed of `analysis.effects.intervene.intervene`.
        acts: Where the recipe acts. Steps that name positions or take a pattern are of the prompt.
        second: The second prompt, for steps that take something of it.
        progress: Told how many tokens of how many are written; may raise to end it.
        told: Told just before what is written by then.

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
    acting = [step for step in steps if acts != "written" or not isinstance(step, OF_PROMPT)]
    made = StepHooks(
        model,
        tokens,
        second,
        swap,
        # Of any continuation, so that what resamples is the same in a shorter one.
        room=min(MAX_WRITTEN, model.n_ctx - tokens.length),
        begin=tokens.length if acts == "written" else 0,
        stop=tokens.length if acts == "prompt" else None,
    )
    writer = _Writer(model, tokens, made, made.of(acting), temperature)
    drawn = np.random.default_rng([seed, 2]).random(count)
    for index in range(count):
        writer.write(drawn[index])
        if told is not None:
            told(writer.written)
        if progress is not None:
            progress(index + 1, count)
    return writer.written


class _Writer:
    """Both continuations as they grow."""

    def __init__(
        self,
        model: HeadModel,
        tokens: Tokens,
        made: StepHooks,
        hooks: Sequence[tuple[str, Hook]],
        temperature: float,
    ):
        self._model, self._tokens, self._temperature = model, tokens, temperature
        self._made, self._hooks = made, hooks
        self._clean = self._edited = tokens.tensor
        # The first text as it is; the second with the recipe, and as it is.
        self._alone, self._with, self._without = (Onward(model) for _ in range(3))
        self._probs: list[tuple[float, float]] = []

    def write(self, drawn: float) -> None:
        """One more token of either text that has not ended."""
        # Until they differ, the run as it is serves both.
        together = torch.equal(self._clean, self._edited)
        before: Tensor | None = None
        if self._goes_on(self._edited):
            before = after = self._without.last_logits(self._edited)
            if self._hooks:
                self._made.at = self._with.at
                after = self._with.last_logits(self._edited, self._hooks)
            chosen = _next(after, self._temperature, drawn)
            self._probs.append(
                (float(before.softmax(-1)[chosen]), float(after.softmax(-1)[chosen]))
            )
            edited = _longer(self._edited, chosen)
        else:
            edited = self._edited
        if self._goes_on(self._clean):
            if not together or before is None:
                before = self._alone.last_logits(self._clean)
            self._clean = _longer(self._clean, _next(before, self._temperature, drawn))
        self._edited = edited

    def _goes_on(self, ids: Int[Tensor, "1 pos"]) -> bool:
        return ids.shape[1] == self._tokens.length or (
            int(ids[0, -1]) != self._model.tokenizer.eos_token_id
        )

    @property
    def written(self) -> Written:
        """What is written by now."""
        new = [to_numpy(ids[0, self._tokens.length :]) for ids in (self._clean, self._edited)]
        return Written(
            clean=new[0],
            edited=new[1],
            clean_labels=token_texts(self._model.tokenizer, new[0].tolist()),
            edited_labels=token_texts(self._model.tokenizer, new[1].tolist()),
            probs=np.array(self._probs).T,
        )


def _longer(ids: Int[Tensor, "1 pos"], chosen: int) -> Int[Tensor, "1 longer"]:
    return torch.cat([ids, torch.tensor([[chosen]])], 1)


def _next(logits: Float[Tensor, " d_vocab"], temperature: float, drawn: float) -> int:
    if not torch.isfinite(logits).all():
        raise AnalysisError(
            "With this recipe some logits are not finite (NaN or infinite). Take smaller numbers."
        )
    if temperature == 0:
        return int(logits.argmax())
    shares = (logits.double() / temperature).softmax(-1).cumsum(-1)
    return min(int(torch.searchsorted(shares, drawn)), len(logits) - 1)
