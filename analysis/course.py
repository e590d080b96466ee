"""The figures that the ARENA course states of its toy model, beside ours.

    python -m analysis.course

Needs the weights of attn-only-2L-half; says how to bring them where they are not here. A figure
holds when ours differs by no more than the tolerance beside it: a unit of the last digit for what
depends on weights or on the same tokens alone, the spread between the course's own runs for what
depends on random tokens. Left out are figures on random tokens that the course does not name (its
complement ablation is compared by order), and its scores by component (sections 4.6 and 4.7),
which are not worked out here for positions that only queries and keys see. Takes a minute or two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from analysis.circuits.composition import Composition, composition_scores
from analysis.circuits.copying import Copying, KeyQueryMatch, k_composition_circuit, ov_copying
from analysis.circuits.ov_qk import previous_token_circuit
from analysis.effects.ablation import Ablation, ablation_sweep
from analysis.effects.knockout import TargetedAblation, keep_only, targeted_ablation
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads, require_heads
from analysis.heads.scores import head_scores
from analysis.logits.attribution import logit_attribution
from analysis.models.catalog import find_model
from analysis.models.loading import HeadModel, load_model
from analysis.runs.inputs import repeated_tokens, token_texts, tokenize
from analysis.runs.predictions import next_token_stats
from analysis.runs.results import HeadScores
from analysis.tokens import Tokens

MODEL = "attn-only-2L-half"
BRING = (
    f"Fetch its weights with `python -m analysis.models.download {MODEL}`, or convert a file that "
    f"you have with `python -m analysis.models.convert {MODEL} FILE TOKENIZER`."
)
PROMPT = (
    "We think that powerful, significantly superhuman machine intelligence is more likely than "
    "not to be created this century. If current machine learning techniques were scaled up to "
    "this level, we think they would by default produce systems that are deceptive or "
    "manipulative, and that no solid plans are known for how to avoid this."
)
THRESHOLD = 0.4
PREVIOUS, CURRENT, FIRST, TWO_BACK = Head(0, 7), Head(0, 9), Head(0, 3), Head(0, 4)
SELF, INDUCTION, INDUCTION_2 = Head(0, 11), Head(1, 4), Head(1, 10)
CIRCUIT = (TWO_BACK, PREVIOUS, SELF, INDUCTION, INDUCTION_2)


class Measured:
    """What several figures rest on, each computed once."""

    def __init__(self, model: HeadModel) -> None:
        require_heads(model.info, Head(1, 11))  # the last of the course's
        self.model = model
        self.prompt = tokenize(model, PROMPT)
        self.repeated = repeated_tokens(model)

    @cached_property
    def on_prompt(self) -> HeadScores:
        """Scores on the course's prompt."""
        return head_scores(self.model, self.prompt)

    @cached_property
    def on_repeated(self) -> HeadScores:
        """Scores on our own 10 sequences of 50 random tokens twice."""
        return head_scores(self.model, self.repeated)

    @cached_property
    def stripe(self) -> np.ndarray:
        """The course's induction score of every head, [layer, head]."""
        stripe = self.on_repeated.course_stripe
        assert stripe is not None  # of repeated tokens
        return stripe

    @cached_property
    def half_losses(self) -> tuple[float, float]:
        """Losses of both halves on the course's own tokens: torch's draw after seed 0."""
        generator = torch.Generator().manual_seed(0)
        half = torch.randint(0, self.model.d_vocab, (50,), generator=generator).tolist()
        ids = [self.model.bos_id, *half, *half]
        labels = token_texts(self.model.tokenizer, ids)
        tokens = Tokens(np.array([ids]), (labels,), half_length=50, has_bos=True)
        return next_token_stats(self.model, tokens).half_losses(tokens)

    @cached_property
    def sweep(self) -> Ablation:
        """Every head zeroed by itself."""
        return ablation_sweep(self.model, self.repeated, scored_only=True)

    @cached_property
    def targeted(self) -> TargetedAblation:
        """L1H4's stripe with each head of layer 0 zeroed."""
        return targeted_ablation(self.model, self.repeated, INDUCTION)

    @cached_property
    def attribution(self) -> np.ndarray:
        """What each head of layer 1 adds to the repeated token's logit, mean."""
        found = logit_attribution(self.model, self.repeated)
        columns = [found.labels.index(h.label) for h in all_heads(self.model.info) if h.layer == 1]
        return found.values[:, self.repeated.scored][..., columns].mean((0, 1))

    @cached_property
    def copying(self) -> Copying:
        """Copying by L1H4."""
        return ov_copying(self.model, INDUCTION)

    @cached_property
    def joint_copying(self) -> Copying:
        """Copying by both induction heads together."""
        return ov_copying(self.model, (INDUCTION, INDUCTION_2))

    @cached_property
    def match(self) -> KeyQueryMatch:
        """The K-composition circuit of L0H7 and L1H4."""
        return k_composition_circuit(self.model, PREVIOUS, INDUCTION)

    @cached_property
    def composition(self) -> dict[str, Composition]:
        """Scores of every pair, by kind."""
        return {kind: composition_scores(self.model, kind) for kind in ("Q", "K", "V")}

    def pair(self, kind: str, writer: Head, reader: Head) -> float:
        """The composition score of one pair."""
        values = self.composition[kind].values
        return float(values[writer.layer, writer.head, reader.layer, reader.head])

    def kept_alone(self) -> str:
        """Whether the loss is lower with five heads than with all, as the course finds."""
        alone = keep_only(self.model, self.repeated, CIRCUIT)
        return "lower" if alone < self.sweep.clean_loss else "not lower"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the course's: a number with its tolerance, or words that have to be the same."""

    section: str
    name: str
    expected: float | str
    tolerance: float
    ours: Callable[[Measured], float | str]


def _at(values: np.ndarray, head: Head) -> float:
    return float(values[head.layer, head.head])


def _names(heads: Iterable[Head]) -> str:
    return " ".join(head.label for head in sorted(heads))


def _above(values: np.ndarray) -> str:
    return _names(Head(int(layer), int(head)) for layer, head in np.argwhere(values > THRESHOLD))


def _largest(values: np.ndarray, layer: int, count: int = 1) -> str:
    return _names(Head(layer, int(head)) for head in np.argsort(-values, kind="stable")[:count])


def _by_position(model: HeadModel) -> float:
    return previous_token_circuit(model, PREVIOUS.layer, PREVIOUS.head).previous


def _without_previous(targeted: TargetedAblation) -> float:
    return float(targeted.ablated[targeted.sources.index(PREVIOUS)])


_BOTH = _names((INDUCTION, INDUCTION_2))
FIGURES = (
    Figure("2.1", "tokens of the prompt, with BOS", 62.0, 0.0, lambda m: m.prompt.length),
    Figure("2.2", "current-token heads", "L0H9", 0.0, lambda m: _above(m.on_prompt.current)),
    Figure("2.2", "previous-token heads", "L0H7", 0.0, lambda m: _above(m.on_prompt.previous)),
    Figure("2.2", "first-token heads", f"L0H3 {_BOTH}", 0.0, lambda m: _above(m.on_prompt.first)),
    Figure("2.2", "L0H9 current", 0.441, 1e-3, lambda m: _at(m.on_prompt.current, CURRENT)),
    Figure("2.2", "L0H7 previous", 0.991, 1e-3, lambda m: _at(m.on_prompt.previous, PREVIOUS)),
    Figure("2.2", "L0H3 first", 0.823, 1e-3, lambda m: _at(m.on_prompt.first, FIRST)),
    Figure("2.2", "L1H4 first", 0.897, 1e-3, lambda m: _at(m.on_prompt.first, INDUCTION)),
    Figure("2.2", "L1H10 first", 0.830, 1e-3, lambda m: _at(m.on_prompt.first, INDUCTION_2)),
    Figure("2.6", "loss, first half, seed 0", 14.923, 5e-3, lambda m: m.half_losses[0]),
    Figure("2.6", "loss, second half, seed 0", 6.076, 5e-3, lambda m: m.half_losses[1]),
    Figure("2.8", "induction heads", _BOTH, 0.0, lambda m: _above(m.stripe)),
    Figure("2.8", "L0H7 previous", 0.997, 1e-2, lambda m: _at(m.on_repeated.previous, PREVIOUS)),
    Figure("3.2", "L1H4 induction", 0.64, 0.08, lambda m: _at(m.stripe, INDUCTION)),
    Figure("3.2", "L1H10 induction", 0.84, 0.08, lambda m: _at(m.stripe, INDUCTION_2)),
    Figure("3.6", "most attribution, layer 1", "L1H10", 0.0, lambda m: _largest(m.attribution, 1)),
    Figure("3.7", "costliest head, layer 0", "L0H7", 0.0, lambda m: _largest(m.sweep.values[0], 0)),
    Figure(
        "3.7", "costliest two, layer 1", _BOTH, 0.0, lambda m: _largest(m.sweep.values[1], 1, 2)
    ),
    Figure("3.9", f"loss with {_names(CIRCUIT)} alone", "lower", 0.0, lambda m: m.kept_alone()),
    Figure("4.3", "L1H4 copying, top 1", 0.3079, 1e-4, lambda m: m.copying.accuracy[1]),
    Figure("4.3", "L1H4 copying, top 5", 0.4773, 1e-4, lambda m: m.copying.accuracy[5]),
    Figure("4.4", f"{_BOTH} copying, top 1", 0.956, 1e-3, lambda m: m.joint_copying.accuracy[1]),
    Figure("4.4", f"{_BOTH} copying, top 5", 0.98, 5e-3, lambda m: m.joint_copying.accuracy[5]),
    Figure("4.5", "L0H7 by position", 0.9978, 1e-4, lambda m: _by_position(m.model)),
    Figure("4.8", "L0H7 to L1H4 by keys, top 1", 0.5, 0.1, lambda m: m.match.best_key[1]),
    Figure("4.8", "L0H7 to L1H4 by keys, top 5", 0.89, 1e-2, lambda m: m.match.best_key[5]),
    Figure("4.9", "K, L0H7 to L1H4", 0.1121, 1e-4, lambda m: m.pair("K", PREVIOUS, INDUCTION)),
    Figure("4.9", "K, L0H7 to L1H10", 0.1119, 1e-4, lambda m: m.pair("K", PREVIOUS, INDUCTION_2)),
    Figure("4.9", "Q, L0H3 to L1H9", 0.0615, 1e-4, lambda m: m.pair("Q", FIRST, Head(1, 9))),
    Figure("4.9", "V, L0H11 to L1H9", 0.061, 1e-4, lambda m: m.pair("V", SELF, Head(1, 9))),
    Figure("4.10", "random pairs", 0.0361, 1e-4, lambda m: m.composition["K"].baseline.mean),
    Figure("4.14", "L1H4 stripe", 0.68, 0.08, lambda m: m.targeted.clean),
    Figure("4.14", "L1H4 stripe without L0H7", 0.0, 0.05, lambda m: _without_previous(m.targeted)),
)


def compare(figure: Figure, measured: Measured) -> tuple[str, bool]:
    """One line of the table, and whether the figure holds."""
    ours = figure.ours(measured)
    if isinstance(ours, str) or isinstance(figure.expected, str):
        holds, within = ours == figure.expected, "the same"
        columns = f"{figure.expected:>16}{ours or 'none':>16}"
    else:
        # Both are rounded to four digits on the way, hence half a unit of the last one.
        holds = abs(ours - figure.expected) <= figure.tolerance + 5e-5
        within = f"{figure.tolerance:g}"
        columns = f"{figure.expected:16.4f}{ours:16.4f}"
    verdict = "agrees" if holds else "DIFFERS"
    return f"{figure.section:6}{figure.name:44}{columns}{within:>10}  {verdict}", holds


def main() -> int:
    """Print every figure; 0 if all hold."""
    try:
        measured = Measured(load_model(find_model(MODEL).name))
    except AnalysisError as refusal:
        print(f"{refusal} {BRING}")
        return 1
    print(f"{'':6}{'figure':44}{'course':>16}{'ours':>16}{'within':>10}")
    held = 0
    for figure in FIGURES:
        line, holds = compare(figure, measured)
        print(line, flush=True)
        held += holds
    print(f"{held} of {len(FIGURES)} figures agree with the course.")
    return 0 if held == len(FIGURES) else 1


if __name__ == "__main__":
    raise SystemExit(main())
