"""A prompt run as it is and with a recipe of interventions, side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.effects.recipe import steps_to_make
from analysis.effects.replacements import reference_z
from analysis.effects.steps import (
    OF_PROMPT,
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
from analysis.models.capabilities import require_mlps, require_pattern_edits, require_seen_values
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, next_token_log_probs, run_without_logits
from analysis.runs.inputs import Tokens, token_texts
from analysis.runs.predictions import top_by_id
from analysis.runs.suffix import Recording, continued, record

# Next tokens that are listed of each of the two runs.
LISTED = 10
# The most numbers of a recording that are kept for the next recipe on the same prompt: 64 MiB.
MOST_KEPT = 2**24

Change = Callable[[Tensor], object]


@dataclass(frozen=True, eq=False)
class Intervened:
    """What a recipe of interventions does to one prompt; side 0 is clean, side 1 with the recipe.

    `moved` is, for each head, the mean over destinations from 1 on of half the sum over sources of
    |pattern with the recipe - clean pattern|, as in `analysis.heads.distances.pattern_change`: 0
    where the head attends as before, 1 where it attends to other tokens altogether.
    """

    # The most likely next tokens of either side, by their probability with the recipe.
    ids: Int[np.ndarray, " listed"]
    labels: tuple[str, ...]
    probs: Float[np.ndarray, "side=2 listed"]
    # Of the token that came, in nats; entry i is predicted at position i.
    log_probs: Float[np.ndarray, "side=2 predicted"]
    # logit[answer] - logit[foil] at the last position, in logits; NaN where none were asked for.
    difference: Float[np.ndarray, "side=2"]
    moved: Float[np.ndarray, "layer head"]
    # Of the head in focus.
    patterns: Float[np.ndarray, "side=2 dest src"]

    def __post_init__(self) -> None:
        freeze(self, "ids", "probs", "log_probs", "difference", "moved", "patterns")

    @property
    def losses(self) -> tuple[float, float]:
        """Mean loss per token of both sides, in nats."""
        return -float(self.log_probs[0].mean()), -float(self.log_probs[1].mean())


def intervene(
    model: HeadModel,
    tokens: Tokens,
    recipe: str,
    focus: Head,
    *,
    second: Tokens | None = None,
    answer: int | None = None,
    foil: int | None = None,
    seed: int = 0,
) -> Intervened:
    """Run a prompt as it is and with a recipe; only layers from the first that it changes run.

    Steps at one place are made in the order of the recipe, those at different places in the
    model's own. A pattern's cells are set without making its row sum to 1 again; z is what then
    comes of it. Source: `resid_pre` patching, Meng et al. 2022; adding a difference of prompts,
    Turner et al. 2023; the others are definitions of this project.

    Args:
        model: The model.
        tokens: One sequence.
        recipe: Steps, as `analysis.effects.recipe.parse_recipe` reads them.
        focus: The head whose patterns are returned.
        second: The second prompt, for steps that take something of it.
        answer: Token whose logit is followed.
        foil: Token that it is compared with.
        seed: Which stretch of the reference text resamples.

    Raises:
        AnalysisError: A recipe that cannot be read or that this model or prompt has no place for,
            more than one sequence, a token that is not there, or a pattern's step on a model that
            goes on with its own pattern.
    """
    if tokens.batch > 1:
        raise AnalysisError("A recipe is tried on one sequence. Choose one.")
    require_heads(model.info, focus)
    for token in (answer, foil):
        if token is not None and not 0 <= token < model.d_vocab:
            raise AnalysisError(f"Token id {token:,} is not in the vocabulary of {model.name}.")
    steps = steps_to_make(model.info, recipe, tokens.length, second.length if second else None)
    clean = recorded(model, tokens)
    hooks = StepHooks(model, tokens, second, seed).of(steps)
    moved = np.zeros((model.n_layers, model.n_heads), np.float32)
    patterns = [clean.kept[_pattern(focus.layer)][0, focus.head]] * 2

    def compare(layer: int) -> Hook:
        # The name is closed over: `hook.name` differs between raw and compatibility mode.
        def note(pattern: Tensor, hook: object) -> None:
            apart = (pattern - clean.kept[_pattern(layer)])[:, :, 1:].abs().sum(-1) / 2
            moved[layer] = to_numpy(apart.mean((0, 2)))
            if layer == focus.layer:
                patterns[1] = pattern[0, focus.head].clone()

        return note

    logits = clean.logits
    if steps:
        first = min(first_layer(step) for step in steps)
        watched = [(_pattern(layer), compare(layer)) for layer in range(first, model.n_layers)]
        logits = continued(model, clean, first, [*hooks, *watched])
        if not torch.isfinite(logits).all():
            raise AnalysisError(
                "With this recipe some logits are not finite (NaN or infinite). Take smaller "
                "numbers."
            )
    log_probs = [next_token_log_probs(each, tokens.tensor)[0] for each in (clean.logits, logits)]
    last = torch.stack([clean.logits[0, -1], logits[0, -1]])
    ids = _likeliest(last)
    asked = answer is not None and foil is not None
    return Intervened(
        ids=to_numpy(ids),
        labels=token_texts(model.tokenizer, ids.tolist()),
        probs=to_numpy(last.log_softmax(-1)[:, ids].exp()),
        log_probs=np.stack([to_numpy(each) for each in log_probs]),
        difference=np.array(
            [float(each[answer] - each[foil]) if asked else np.nan for each in last]
        ),
        moved=moved,
        patterns=np.stack([to_numpy(pattern) for pattern in patterns]),
    )


@dataclass
class StepHooks:
    """Makes hooks of steps, for one prompt and what is written behind it.

    What names positions is of the prompt. `room` is how many tokens may follow it. Steps that name
    no position act from `begin` to before `stop`. `at` is the position of the first token that is
    run, and may be set anew before each run: those before it are known by their keys and values.
    """

    model: HeadModel
    tokens: Tokens
    second: Tokens | None
    seed: int
    room: int = 0
    begin: int = 0
    stop: int | None = None
    at: int = 0

    def of(self, steps: Sequence[Step]) -> list[tuple[str, Hook]]:
        """One hook for each step, in their order."""
        if any(isinstance(step, Look | Weigh | Borrow) for step in steps):
            require_pattern_edits(self.model.info)
        if any(isinstance(step, Push) for step in steps):
            require_seen_values(self.model.info)
        if any(isinstance(step, Fire) for step in steps):
            require_mlps(self.model.info)
        of_second = self._of_second(steps)
        return [self._hook(step, of_second) for step in steps]

    def _hook(self, step: Step, of_second: Mapping[str, Tensor]) -> tuple[str, Hook]:
        point, change = self._change(step, of_second)

        def edit(activation: Tensor, hook: object) -> Tensor | None:
            if self.at and isinstance(step, OF_PROMPT):
                return None  # what it changes has been run
            # On a clone: an edit in place would also reach whatever shares this memory.
            edited = activation.clone()
            change(edited)
            return edited

        return point, edit

    def _change(self, step: Step, of_second: Mapping[str, Tensor]) -> tuple[str, Change]:
        """The hook point of a step, and what it does there in place."""
        match step:
            case Dial(head, factor):
                return _z(head), lambda z: z[:, self.span, head.head].mul_(factor)
            case Swap(head, method):
                other = reference_z(self.model, self._longest, method, self.seed)[head.layer]
                assert other is not None  # one sequence has no others to be set against
                its_z = other[:, head.head]
                return _z(head), lambda z: z[:, self.span, head.head].copy_(
                    its_z[self.at :][: z.shape[1]][self.span]
                )
            case Push(head, src, factor):
                values = self._values(head.layer)[0, src]
                # Of the head's group, where several heads share their values.
                added_z = factor * values[head.head * len(values) // self.model.n_heads]
                return _z(head), lambda z: z[:, self._behind_bos, head.head].add_(added_z)
            case Look(head, dest, src):

                def look(pattern: Tensor) -> None:
                    pattern[:, head.head, dest] = 0
                    pattern[:, head.head, dest, src] = 1

                return _pattern(head.layer), look
            case Weigh(head, dest, src, weight):
                return _pattern(head.layer), (
                    lambda pattern: pattern[:, head.head, dest, src].fill_(weight)
                )
            case Borrow(head):
                its = of_second[_pattern(head.layer)][:, head.head]
                n = its.shape[-1]
                return _pattern(head.layer), (
                    lambda pattern: pattern[:, head.head, :n, :n].copy_(its)
                )
            case Fire(layer, neuron, value):
                return f"blocks.{layer}.mlp.hook_post", (
                    lambda acts: acts[:, self.span, neuron].fill_(value)
                )
            case Patch(layer, position):
                its = of_second[_entering(layer)][:, position]
                return _entering(layer), lambda stream: stream[:, position].copy_(its)
            case Steer(layer, factor):
                own = recorded(self.model, self.tokens).stream[layer][:, -1]
                added = factor * (of_second[_entering(layer)][:, -1] - own)
                return _entering(layer), (
                    lambda stream: stream[:, self._behind_bos].add_(added[:, None])
                )

    @property
    def span(self) -> slice:
        """Where steps act that name no position, in what is run."""
        return self._from(self.begin)

    @property
    def _behind_bos(self) -> slice:
        """The same for what is added, which BOS is spared."""
        return self._from(max(self.begin, int(self.tokens.has_bos)))

    def _from(self, begin: int) -> slice:
        stop = None if self.stop is None else max(self.stop - self.at, 0)
        return slice(max(begin - self.at, 0), stop)

    def _values(self, layer: int) -> Float[Tensor, "batch pos kv_head d_head"]:
        """What a layer moves from each position of the prompt, in the run as it is."""
        point = f"blocks.{layer}.attn.hook_v"
        return run_without_logits(self.model, self.tokens.tensor, [point])[point]

    @property
    def _longest(self) -> Tokens:
        """The prompt with room behind it: what stands there is not looked at."""
        ids = np.pad(self.tokens.ids, ((0, 0), (0, self.room)))
        labels = ((*self.tokens.labels[0], *[""] * self.room),)
        return replace(self.tokens, ids=ids, labels=labels, half_length=None)

    def _of_second(self, steps: Sequence[Step]) -> dict[str, Tensor]:
        """What steps take of the second prompt, from one run of it."""
        points = {
            _pattern(step.head.layer) if isinstance(step, Borrow) else _entering(step.layer)
            for step in steps
            if isinstance(step, OfSecond)
        }
        if not points:
            return {}
        assert self.second is not None  # `steps_to_make` has seen to it
        return run_without_logits(self.model, self.second.tensor, sorted(points))


def _z(head: Head) -> str:
    return f"blocks.{head.layer}.attn.hook_z"


def _pattern(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_pattern"


def _entering(layer: int) -> str:
    return f"blocks.{layer}.hook_resid_pre"


def first_layer(step: Step) -> int:
    """The first layer that a step changes."""
    return step.layer if isinstance(step, Fire | Patch | Steer) else step.head.layer


def recorded(model: HeadModel, tokens: Tokens) -> Recording:
    """The run as it is: of each model the last one stays for the next recipe."""
    known = _LAST.get(model)
    if known is None or not torch.equal(known.ids, tokens.tensor):
        patterns = [_pattern(layer) for layer in range(model.n_layers)]
        known = record(model, tokens.tensor, patterns)
        held = (*known.stream, *known.kept.values(), known.logits)
        if sum(each.numel() for each in held) <= MOST_KEPT:
            _LAST[model] = known
    return known


# Keyed by the loaded model itself, which may be one of several of the same name.
_LAST: WeakKeyDictionary[HeadModel, Recording] = WeakKeyDictionary()


def _likeliest(logits: Float[Tensor, "side=2 d_vocab"]) -> Int[Tensor, " listed"]:
    """The most likely tokens of either side, by their logit on the second."""
    _, ids = top_by_id(logits, min(LISTED, logits.shape[1]))
    either = ids.unique()
    return either[logits[1, either].argsort(descending=True, stable=True)]
