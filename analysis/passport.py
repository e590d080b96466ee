"""A head in one sentence, made of what was measured: nothing is said that no number carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from analysis.circuits.composition import KINDS, Composition, composition_scores
from analysis.circuits.copying import Copying, ov_copying
from analysis.definitions import (
    ABLATION,
    COPYING,
    PARTNERS,
    SCORES,
    TARGETED,
    VERDICT,
    Quantity,
    ScoreName,
)
from analysis.definitions.role import Role
from analysis.effects.ablation import HeadAblation, ablate_head
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.heads.scores import head_scores
from analysis.models.loading import HeadModel
from analysis.roles.verdict import Verdict
from analysis.runs.inputs import repeated_tokens
from analysis.runs.results import HeadScores
from analysis.sets.metrics import Metric
from analysis.tokens import Tokens

R = TypeVar("R")
# The course's threshold for calling a head one of a kind; it has to be twice chance as well.
KIND = 0.4
# Above this and five times chance it is one in part: in a text little is copied, and by many.
IN_PART = 0.2
# Standard deviations of random pairs: the largest of a few hundred of them lies three above.
BEYOND_RANDOM = 5.0
# Less of a change of the loss is shown as none, nats per token.
LEAST_CHANGE = 0.005
_THROUGH = {"Q": "queries", "K": "keys", "V": "values"}


_METRICS: dict[Metric, str] = {
    "logit_diff": "the logit difference",
    "log_prob": "the answer's log-probability",
    "loss": "the loss",
}


@dataclass(frozen=True, eq=False)
class JudgedRole:
    """A role that a head looks like on a set of prompts, and whether the model needs it there.

    `verdict` is of the head alone, or of a group that it is one of.
    """

    role: Role
    screen: float
    chance: float
    prompts: str  # name of the set
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was measured of a head; None or empty: not measured.

    Args:
        scores: Every score, on the tokens that the sentence is about.
        compositions: Composition scores, one kind of input each.
        copying: How far its OV copies.
        ablation: The loss without it, on the same tokens.
        roles: Roles that it looks like, each with its verdict.
    """

    scores: HeadScores | None = None
    compositions: tuple[Composition, ...] = ()
    copying: Copying | None = None
    ablation: HeadAblation | None = None
    roles: tuple[JudgedRole, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """One clause: words, the number that carries it, and what that is compared with.

    `value` in the unit of the quantity; `spread` is the standard deviation over sequences, and
    `chance` the level that says nothing; NaN where there is none.
    """

    quantity: Quantity
    before: str
    number: str
    after: str
    value: float
    chance: float = float("nan")
    spread: float = float("nan")
    judged: JudgedRole | None = None  # what it says of a role


@dataclass(frozen=True, slots=True)
class Passport:
    """What can be said of a head, and the quantities that were not measured for it."""

    head: Head
    claims: tuple[Claim, ...]
    missing: tuple[Quantity, ...]

    @property
    def text(self) -> str:
        """The sentence; only the label where nothing was measured."""
        clauses = [f"{each.before}{each.number}{each.after}" for each in self.claims]
        return f"{self.head.label}: {'; '.join(clauses)}." if clauses else self.head.label


def head_sentence(
    model: HeadModel, head: Head, tokens: Tokens | None = None, seed: int = 0
) -> Passport:
    """One sentence about a head: its kind, whom it reads, whether it copies, what breaks without.

    The kinds are those of the registered shares of attention that are above `KIND` and twice
    chance; whom it reads is the largest composition score with an earlier head (in layer 0: with a
    later head that reads it), in standard deviations of random pairs; copying is the top-1 share;
    ablation is by zero. What the model does not allow is in `missing`.

    Args:
        model: The model; its lock is taken for each pass.
        head: The head.
        tokens: What it is run on; by default 10 repeated sequences of twice 50 tokens, or as many
            as fit.
        seed: Seed of those.

    Raises:
        AnalysisError: A head that the model does not have.
    """
    require_heads(model.info, head)
    if tokens is None:
        tokens = repeated_tokens(model, min(50, (model.n_ctx - 1) // 2), 10, seed)
    kinds = (_if_allowed(partial(composition_scores, model, kind)) for kind in KINDS)
    evidence = Evidence(
        head_scores(model, tokens),
        tuple(found for found in kinds if found is not None),
        _if_allowed(lambda: ov_copying(model, head)),
        _if_allowed(lambda: ablate_head(model, tokens, head)),
    )
    return passport_from(head, evidence)


def passport_from(head: Head, evidence: Evidence) -> Passport:
    """What the evidence says of a head."""
    claims: list[Claim] = []
    missing: list[Quantity] = []
    if evidence.scores is None:
        missing += [SCORES[name] for name in TARGETED]
    else:
        claims += _kinds(head, evidence.scores)
    for quantity, found in (
        (PARTNERS, _partner(head, evidence.compositions) if evidence.compositions else None),
        (COPYING, _copies(evidence.copying) if evidence.copying else None),
        (ABLATION, _breaks(evidence.ablation) if evidence.ablation else None),
    ):
        if found is None:
            missing.append(quantity)
        else:
            claims.append(found)
    claims += [_plays(head, judged) for judged in evidence.roles]
    return Passport(head, tuple(claims), tuple(missing))


def _if_allowed(compute: Callable[[], R]) -> R | None:
    try:
        return compute()
    except AnalysisError:
        return None


def _kinds(head: Head, scores: HeadScores) -> list[Claim]:
    """The kinds that a head is one of, the clearest first; or the nearest, said to be too weak."""
    at = (head.layer, head.head)
    known = [name for name in TARGETED if np.isfinite(scores[name][at])]
    ranked = sorted(known, key=lambda name: scores.chance[name] - float(scores[name][at]))
    claims = []
    for name in ranked:
        value, chance = float(scores[name][at]), scores.chance[name]
        if value > max(KIND, 2 * chance):
            claims.append(_kind(scores, name, at, f"{_looks(name)}, "))
        elif value > max(IN_PART, 5 * chance):
            claims.append(_kind(scores, name, at, f"{_looks(name, ' in part')}, "))
    if claims or not ranked:
        return claims
    nearest = f"no head of a kind that is scored (the nearest: {SCORES[ranked[0]].name.lower()}, "
    return [_kind(scores, ranked[0], at, nearest, ")")]


def _kind(
    scores: HeadScores, name: ScoreName, at: tuple[int, int], before: str, end: str = ""
) -> Claim:
    value, spread = float(scores[name][at]), float(scores.spread[name][at])
    after = f" where chance is {short(scores.chance[name])}{end}"
    number = _around(value, spread)
    return Claim(SCORES[name], before, number, after, value, scores.chance[name], spread)


def _looks(name: ScoreName, part: str = "") -> str:
    """Such as `looks like an induction head`, of the score's name: what it is, no score can say."""
    if name == "first":  # no job, but where heads rest that have none
        return f"rests{part} on the first token"
    words = SCORES[name].name.removesuffix(" score").lower()
    return f"looks{part} like {'an' if words[0] in 'aeiou' else 'a'} {words} head"


def _partner(head: Head, compositions: tuple[Composition, ...]) -> Claim | None:
    """The earlier head that it reads most; of layer 0 the later head that reads it most."""
    at = (head.layer, head.head)
    best: tuple[float, Composition, tuple[int, int]] | None = None
    for found in compositions:
        with_others = found.values[(..., *at)] if head.layer else found.values[at]
        if np.isnan(with_others).all():
            continue
        place = np.unravel_index(int(np.nanargmax(with_others)), with_others.shape)
        other = (int(place[0]), int(place[1]))
        beyond = (float(with_others[other]) - found.baseline.mean) / found.baseline.std
        if best is None or beyond > best[0]:
            best = (beyond, found, other)
    if best is None:
        return None
    beyond, found, other = best
    value = float(found.values[(*other, *at)] if head.layer else found.values[(*at, *other)])
    other_label, through = Head(*other).label, _THROUGH[found.kind]
    if beyond < BEYOND_RANDOM:
        verb = "reads no earlier head" if head.layer else "is read by no later head"
        before = f"by its weights {verb} beyond random pairs (the nearest is {other_label}, "
        end = ")"
    elif head.layer:
        before, end = f"by its weights reads {other_label} most, through its {through}, ", ""
    else:
        before, end = f"by its weights is read most by the {through} of {other_label}, ", ""
    base = found.baseline
    after = f" where random pairs have {_around(base.mean, base.std)}{end}"
    return Claim(PARTNERS, before, short(value), after, value, base.mean)


def _copies(copying: Copying) -> Claim:
    share, chance = copying.accuracy[1], 1 / copying.hits.shape[1]
    after = f" of the vocabulary where chance is {_percent(chance)}"
    return Claim(COPYING, "copies ", _percent(share), after, share, chance)


def _breaks(ablation: HeadAblation) -> Claim:
    value = ablation.value
    after = f" without it, from {ablation.clean_loss:.2f}"
    if abs(value) < LEAST_CHANGE:
        before, number = "the loss changes by ", f"{value:+.3f} nats"
    else:
        before = "the loss rises " if value > 0 else "the loss falls "
        number = f"{short(abs(value))} nats"
    return Claim(ABLATION, before, number, after, value)


def _plays(head: Head, judged: JudgedRole) -> Claim:
    """A role by its verdict, and never by its looks alone."""
    found = judged.verdict
    with_it = [other.label for other in found.heads if other != head]
    group = f", with {', '.join(with_it)}," if with_it else ""
    chance = f" where chance is {short(judged.chance)}" if np.isfinite(judged.chance) else ""
    low, high = found.interval
    return Claim(
        VERDICT,
        f"on {len(found.by_row)} prompts of the set {judged.prompts} looks like the role "
        f"“{judged.role.name.lower()}” ({short(judged.screen)}{chance}) and{group} is a "
        f"{found.word}: {_METRICS[found.metric]} changes by ",
        f"{found.effect:+.2f}",
        f" [{low:+.2f}, {high:+.2f}] without {'them' if with_it else 'it'}, where "
        f"{len(found.random)} random groups have {found.random.min():+.2f} to "
        f"{found.random.max():+.2f}",
        found.effect,
        float(found.random.mean()),
        judged=judged,
    )


def short(value: float) -> str:
    """A number with two or more digits that say something: 0.75, 0.014, 12.3."""
    size = abs(value)
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 else f"{value:.3f}" if size >= 0.001 else f"{value:.1g}"


def _around(value: float, spread: float) -> str:
    """A number with its spread, to as many digits; alone where there is none."""
    if not np.isfinite(spread):
        return short(value)
    digits = 2 if spread >= 0.005 else 3
    return f"{value:.{digits}f} ± {spread:.{digits}f}"


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return f"{100 * share:.1g}%"
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}"
