"""Screens of heads for roles, on a set of prompts, on random tokens and by weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float

from analysis.arrays import to_numpy
from analysis.circuits.own_tokens import OwnRanks, own_ranks, successor_shares
from analysis.definitions.role import Role, Rows
from analysis.definitions.roles import ROLES
from analysis.errors import AnalysisError
from analysis.limits import MAX_BYTES, role_size
from analysis.models.loading import HeadModel
from analysis.roles.results import RoleScores, RoleScreen
from analysis.runs.forward import run
from analysis.runs.inputs import repeated_tokens
from analysis.sets.builtin import single_lists
from analysis.sets.fitted import Batch, FittedSet, fit_set, token_counts
from analysis.sets.metrics import parts
from analysis.sets.rows import PromptSet
from analysis.sets.spread import spread

Progress = Callable[[int, int], None]
# Tokens drawn from the vocabulary for what weights do to any token, and how far ranks are counted.
DRAWN, MOST_RANKS = 128, 10
# Of patterns of all layers, held at once.
_PATTERN_BYTES = 64 * 2**20


def role_scores(
    model: HeadModel,
    prompts: PromptSet | FittedSet,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    roles: Sequence[str] | None = None,
    prepend_bos: bool = True,
) -> RoleScores:
    """How much every head looks like each role: `analysis.definitions.roles` says what each is.

    A screen of patterns is a mean over rows of each row's own share; chance is the same screen of
    uniform attention up to the destination or, for a screen that is no share of attention, of the
    same patterns with the sources of each destination shuffled. It says what heads look like; a
    `verdict` says whether they matter.

    Args:
        model: The model.
        prompts: The set, or as a model reads it.
        seed: Of random tokens, drawn tokens and shuffles.
        progress: Called as `progress(steps done, steps in all)` without the lock. It may raise to
            cancel.
        roles: Which roles, all by default.
        prepend_bos: As in `fit_set`, for a set that is not fitted yet.

    Raises:
        AnalysisError: No row fits the model, prompts so long that patterns of one take too much
            memory, or an unknown role.
    """
    fitted = prompts if isinstance(prompts, FittedSet) else fit_set(model, prompts, prepend_bos)
    wanted = {key: _role(key) for key in (ROLES if roles is None else roles)}
    steps = _Steps(progress, wanted, model.n_layers)
    on_set = {key: role for key, role in wanted.items() if role.tokens == "set"}
    on_random = {key: role for key, role in wanted.items() if role.tokens == "random"}
    seen = _Seen(seed)
    seen.look(model, on_set, _of_set(model, fitted))
    steps.take()
    seen.look(model, on_random, _of_random(model, seed))
    steps.take()
    weights = _Weights(model, fitted, seed, steps.take)
    shape = (model.n_layers, model.n_heads)
    return RoleScores(
        {key: _screen(role, seen, weights, shape) for key, role in wanted.items()},
        len(fitted.rows),
    )


def _role(key: str) -> Role:
    if key not in ROLES:
        raise AnalysisError(f"No role is called {key!r}. Choose one of: {', '.join(ROLES)}.")
    return ROLES[key]


class _Steps:
    """Counts what is done, over patterns and layers of weights."""

    def __init__(self, progress: Progress | None, roles: Mapping[str, Role], layers: int) -> None:
        self._progress, self._done = progress, 0
        by_weights = sum(role.weights is not None for role in roles.values())
        self._all = 2 + (layers if by_weights else 0)

    def take(self, *_: int) -> None:
        self._done = min(self._done + 1, self._all)
        if self._progress:
            self._progress(self._done, self._all)


class _Seen:
    """What screens of patterns gave, by role: [row, layer, head], and chance by row."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng([seed, 1])
        self.values: dict[str, list[np.ndarray]] = {}
        self.chance: dict[str, list[np.ndarray]] = {}

    def look(
        self, model: HeadModel, roles: Mapping[str, Role], rows: Iterator[Batch | Rows]
    ) -> None:
        """Run the model on rows, and keep what each role's screen makes of the patterns."""
        of_patterns = {key: r for key, r in roles.items() if r.targets or r.measure}
        if not of_patterns:
            return
        points = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.n_layers)]
        for some in rows:
            end = torch.tensor([some.tokens.length - 1])
            logits, kept = run(model, some.tokens.tensor, points, positions=end)
            pattern = to_numpy(torch.stack([kept[point] for point in points], 1))
            if isinstance(some, Batch):
                right = to_numpy(logits[:, -1].argmax(-1)) == some.answers
                some = Rows(some.tokens, some.places, right)
            for key, role in of_patterns.items():
                value, chance = screen_patterns(role, some, pattern, self._random)
                self.values.setdefault(key, []).append(value)
                self.chance.setdefault(key, []).append(chance)


def screen_patterns(
    role: Role,
    rows: Rows,
    pattern: Float[np.ndarray, "batch layer head dest src"],
    random: np.random.Generator,
) -> tuple[Float[np.ndarray, "batch layer head"], Float[np.ndarray, " batch"]]:
    """A role's screen of patterns by row, and its level of chance in each; NaN in rows without."""
    if role.measure is not None:
        shuffled = _shuffled(pattern, random)
        chance = role.measure(rows, shuffled).mean((1, 2))
        return role.measure(rows, pattern), chance
    if role.targets is None:
        raise ValueError(f"{role.key} has no screen of patterns")
    mask = role.targets(rows).astype(np.float32)
    counted = mask.any(-1).sum(-1)
    uniform = 1 / np.arange(1, mask.shape[-1] + 1, dtype=np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.einsum("blhds,bds->blh", pattern, mask, optimize=True)
        value = np.where(counted[:, None, None], total / counted[:, None, None], np.nan)
        chance = np.where(counted, (mask.sum(-1) * uniform).sum(-1) / counted, np.nan)
    return value.astype(np.float32), chance


def _shuffled(
    pattern: Float[np.ndarray, "batch layer head dest src"], random: np.random.Generator
) -> Float[np.ndarray, "batch layer head dest src"]:
    """Each destination's attention on its sources in a random order."""
    mixed = np.zeros_like(pattern)
    for dest in range(pattern.shape[-2]):
        mixed[..., dest, : dest + 1] = random.permuted(pattern[..., dest, : dest + 1], axis=-1)
    return mixed


def _of_set(model: HeadModel, fitted: FittedSet) -> Iterator[Batch]:
    one = 4 * model.n_layers * model.n_heads
    longest = max(batch.tokens.length for batch in fitted.batches)
    if one * longest**2 > MAX_BYTES:
        raise AnalysisError(
            f"Patterns of a prompt of {longest:,} tokens take {one * longest**2 / 2**20:,.0f} MiB; "
            f"the limit is {MAX_BYTES / 2**20:,.0f}. Use shorter prompts."
        )
    for batch in parts(fitted):
        size = max(1, _PATTERN_BYTES // (one * batch.tokens.length**2))
        for start in range(0, len(batch.rows), size):
            yield batch.part(slice(start, start + size))


def _of_random(model: HeadModel, seed: int) -> Iterator[Rows]:
    half, sequences = role_size(model.n_layers, model.n_heads, model.n_ctx)
    yield Rows(repeated_tokens(model, half, sequences, seed), {})


class _Weights:
    """What screens ask of a model's weights, worked out once; `analysis.definitions.role`."""

    def __init__(
        self, model: HeadModel, fitted: FittedSet, seed: int, progress: Progress | None
    ) -> None:
        self.d_vocab = model.d_vocab
        self._model, self._progress = model, progress
        drawn = np.random.default_rng([seed, 2]).permutation(model.ordinary_ids)[:DRAWN].tolist()
        named = {token for row in fitted.rows for token in (row.answer, row.foil)}
        self._drawn = drawn
        self._named = sorted(token for token in named if token is not None)
        self._ranks: OwnRanks | None = None

    def copying(self, lowered: bool, k: int, own: bool) -> Float[np.ndarray, "layer head"]:
        """Share of tokens that are among the k that a head's OV raises, or lowers, most."""
        if own and not self._named:
            return np.full((self._model.n_layers, self._model.n_heads), np.nan, np.float32)
        if self._ranks is None:
            ids = [*self._drawn, *self._named]
            self._ranks = own_ranks(self._model, ids, MOST_RANKS, self._progress)
        ranks = self._ranks.lowered if lowered else self._ranks.raised
        some = ranks[..., len(self._drawn) :] if own else ranks[..., : len(self._drawn)]
        return (some < k).mean(-1, dtype=np.float32)

    def successors(self) -> tuple[Float[np.ndarray, "layer head"], float]:
        """Share of list members whose next one OV raises most of the list, and chance."""
        words = single_lists(token_counts(self._model))
        if not words:
            raise AnalysisError(
                f"The ordered lists are of words that are one token each, and {self._model.name} "
                "splits them."
            )
        encode = self._model.tokenizer.encode
        lists = [[encode(f" {w}", add_special_tokens=False)[0] for w in some] for some in words]
        return successor_shares(self._model, lists)


def _screen(role: Role, seen: _Seen, of: _Weights, shape: tuple[int, int]) -> RoleScreen:
    """One role's screen of every head, of what was seen and what the weights say."""
    unknown = np.full(shape, np.nan, np.float32)
    rows = np.concatenate(seen.values[role.key]) if role.key in seen.values else None
    if rows is not None:
        kept = ~np.isnan(rows[:, 0, 0])
        if not kept.any():
            return RoleScreen(unknown, np.nan, unknown, unknown, None, None, 0, f"{role.asks}.")
        rows = rows[kept]
    chance, weights = 1.0, None
    if role.weights is not None:
        try:
            weights, chance = role.weights(of)
        except AnalysisError as refusal:
            return RoleScreen(unknown, np.nan, unknown, unknown, None, None, 0, str(refusal))
    if rows is None:
        assert weights is not None  # a role has one of the two
        return RoleScreen(weights, chance, unknown, unknown, None, weights, 0)
    factor = 1.0 if weights is None else weights
    found = spread(rows * factor)
    low, high = (np.asarray(each, np.float32) for each in (found.low, found.high))
    return RoleScreen(
        values=np.asarray(found.mean, np.float32),
        chance=chance * float(np.nanmean(np.concatenate(seen.chance[role.key]))),
        low=low,
        high=high,
        attention=rows.mean(0),
        weights=weights,
        rows=len(rows),
    )
