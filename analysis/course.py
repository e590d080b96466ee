"""The figures that the ARENA course states of GPT-2 and of its toy model, beside ours.

    python -m analysis.course

Needs the weights of gpt2 and attn-only-2L-half; says how to bring those that are not here. A figure
holds when ours differs by no more than the tolerance beside it: a unit of the last digit for what
depends on weights or on the same tokens alone, the spread between the course's own runs for what
depends on random tokens, or a tenth where it shows one run. Left out are figures on random tokens
that the course does not name (its complement ablation is compared by order). Takes a few minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

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
from analysis.kept import kept_property
from analysis.logits.attribution import logit_attribution
from analysis.logits.decomposition import Decomposition, k_composition
from analysis.models.catalog import find_model
from analysis.models.loading import HeadModel, load_model
from analysis.runs.inputs import repeated_tokens, token_texts, tokenize
from analysis.runs.predictions import NextTokenStats, next_token_stats
from analysis.runs.results import HeadScores
from analysis.tokens import Tokens

GPT2, MODEL = "gpt2", "attn-only-2L-half"
BRING = {
    GPT2: f"Fetch its weights with `python -m analysis.models.download {GPT2}`, or put its folder "
    "into the one that HEADSCOPE_MODELS names.",
    MODEL: f"Fetch its weights with `python -m analysis.models.download {MODEL}`, or convert a "
    f"file that you have with `python -m analysis.models.convert {MODEL} FILE TOKENIZER`.",
}
PARAGRAPH = (
    "## Loading Models\n\nHookedTransformer comes loaded with >40 open source GPT-style models. "
    "You can load any of them in with `HookedTransformer.from_pretrained(MODEL_NAME)`. Each model "
    "is loaded into the consistent HookedTransformer architecture, designed to be clean, "
    "consistent and interpretability-friendly.\n\nFor this demo notebook we'll look at GPT-2 "
    "Small, an 80M parameter model. To try the model the model out, let's find the loss on this "
    "paragraph!"
)
SENTENCE = (
    "Natural language processing tasks, such as question answering, machine translation, reading "
    "comprehension, and summarization, are typically approached with supervised learning on "
    "taskspecific datasets."
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
        self.model = model
        self.prompt = tokenize(model, PROMPT)
        self.repeated = repeated_tokens(model)

    @kept_property
    def on_prompt(self) -> HeadScores:
        """Scores on the course's prompt."""
        return head_scores(self.model, self.prompt)

    @kept_property
    def on_repeated(self) -> HeadScores:
        """Scores on our own 10 sequences of 50 random tokens twice."""
        return head_scores(self.model, self.repeated)

    @kept_property
    def stripe(self) -> np.ndarray:
        """The course's induction score of every head, [layer, head]."""
        stripe = self.on_repeated.course_stripe
        assert stripe is not None  # of repeated tokens
        return stripe

    @kept_property
    def paragraph(self) -> NextTokenStats:
        """Predictions on the course's paragraph."""
        return next_token_stats(self.model, tokenize(self.model, PARAGRAPH))

    @kept_property
    def parts(self) -> Decomposition:
        """What the queries and keys of L1H4 are made of."""
        return k_composition(self.model, self.repeated, INDUCTION.layer, INDUCTION.head)

    def length(self, side: str, label: str) -> float:
        """Mean squared length of a component's part of L1H4's queries or keys."""
        parts = self.parts.queries if side == "query" else self.parts.keys
        return float((parts[self.parts.labels.index(label)] ** 2).sum(-1).mean())

    def longest(self, side: str) -> str:
        """The component with the longest part."""
        return max(self.parts.labels, key=lambda label: self.length(side, label))

    @kept_property
    def half_losses(self) -> tuple[float, float]:
        """Losses of both halves on the course's own tokens: torch's draw after seed 0."""
        generator = torch.Generator().manual_seed(0)
        half = torch.randint(0, self.model.d_vocab, (50,), generator=generator).tolist()
        ids = [self.model.bos_id, *half, *half]
        labels = token_texts(self.model.tokenizer, ids)
        tokens = Tokens(np.array([ids]), (labels,), half_length=50, has_bos=True)
        return next_token_stats(self.model, tokens).half_losses(tokens)

    @kept_property
    def sweep(self) -> Ablation:
        """Every head zeroed by itself."""
        return ablation_sweep(self.model, self.repeated, scored_only=True)

    @kept_property
    def targeted(self) -> TargetedAblation:
        """L1H4's stripe with each head of layer 0 zeroed."""
        return targeted_ablation(self.model, self.repeated, INDUCTION)

    @kept_property
    def attribution(self) -> np.ndarray:
        """What each head of layer 1 adds to the repeated token's logit, mean."""
        found = logit_attribution(self.model, self.repeated)
        columns = [found.labels.index(h.label) for h in all_heads(self.model.info) if h.layer == 1]
        return found.values[:, self.repeated.scored][..., columns].mean((0, 1))

    @kept_property
    def copying(self) -> Copying:
        """Copying by L1H4."""
        return ov_copying(self.model, INDUCTION)

    @kept_property
    def joint_copying(self) -> Copying:
        """Copying by both induction heads together."""
        return ov_copying(self.model, (INDUCTION, INDUCTION_2))

    @kept_property
    def match(self) -> KeyQueryMatch:
        """The K-composition circuit of L0H7 and L1H4."""
        return k_composition_circuit(self.model, PREVIOUS, INDUCTION)

    @kept_property
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


def _stripe_of(head: Head, measured: Measured) -> float:
    return _at(measured.stripe, head)


def _above(values: np.ndarray) -> str:
    return _names(Head(int(layer), int(head)) for layer, head in np.argwhere(values > THRESHOLD))


def _largest(values: np.ndarray, layer: int, count: int = 1) -> str:
    return _names(Head(layer, int(head)) for head in np.argsort(-values, kind="stable")[:count])


def _by_position(model: HeadModel) -> float:
    return previous_token_circuit(model, PREVIOUS.layer, PREVIOUS.head).previous


def _without_previous(targeted: TargetedAblation) -> float:
    return float(targeted.ablated[targeted.sources.index(PREVIOUS)])


def _strongest(values: np.ndarray, count: int) -> str:
    order = np.argsort(-values, axis=None, kind="stable")[:count]
    rows = zip(*np.unravel_index(order, values.shape), strict=True)
    return _names(Head(int(layer), int(head)) for layer, head in rows)


def _ids(model: HeadModel, text: str) -> str:
    return " ".join(map(str, tokenize(model, text).ids[0]))


def _by_pair(parts: Decomposition, query: str, key: str) -> float:
    return float(parts.course_std[parts.labels.index(query), parts.labels.index(key)])


def _widest(parts: Decomposition) -> str:
    pair = np.unravel_index(parts.course_std.argmax(), parts.course_std.shape)
    return " ".join(parts.labels[int(i)] for i in pair)


_OF_GPT2 = (Head(5, 1), Head(5, 5), Head(6, 9), Head(7, 2), Head(7, 10))
GPT2_FIGURES = (
    Figure("1.2", "loss on the paragraph", 4.3443, 1e-4, lambda m: float(m.paragraph.loss)),
    Figure("1.3", "ids of gpt2, with BOS", "50256 70 457 17", 0.0, lambda m: _ids(m.model, "gpt2")),
    Figure("1.4", "tokens guessed right", 33.0, 0.0, lambda m: float(m.paragraph.correct.sum())),
    Figure("1.4", "tokens guessed", 111.0, 0.0, lambda m: m.paragraph.correct.size),
    Figure(
        "1.5",
        "tokens of the sentence, with BOS",
        33.0,
        0.0,
        lambda m: tokenize(m.model, SENTENCE).length,
    ),
    Figure("3.3", "five induction heads", _names(_OF_GPT2), 0.0, lambda m: _strongest(m.stripe, 5)),
    *(
        Figure("3.3", f"{head.label} induction", value, 0.04, partial(_stripe_of, head))
        for head, value in zip(_OF_GPT2, (0.901, 0.935, 0.910, 0.854, 0.912), strict=True)
    ),
)
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
    Figure("4.6", "longest part of L1H4's queries", "Embedding", 0.0, lambda m: m.longest("query")),
    Figure("4.6", "longest part of L1H4's keys", "L0H7", 0.0, lambda m: m.longest("key")),
    Figure("4.6", "Embedding in queries", 26.1, 2.6, lambda m: m.length("query", "Embedding")),
    Figure("4.6", "L0H7 in keys", 123.7, 12.4, lambda m: m.length("key", "L0H7")),
    Figure("4.7", "pair of the widest scores", "Embedding L0H7", 0.0, lambda m: _widest(m.parts)),
    Figure("4.7", "its spread", 13.47 / 8, 0.17, lambda m: _by_pair(m.parts, "Embedding", "L0H7")),
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
        columns = f"{figure.expected:>27}{ours or 'none':>27}"
    else:
        # Both are rounded to four digits on the way, hence half a unit of the last one.
        holds = abs(ours - figure.expected) <= figure.tolerance + 5e-5
        within = f"{figure.tolerance:g}"
        columns = f"{figure.expected:27.4f}{ours:27.4f}"
    verdict = "agrees" if holds else "DIFFERS"
    return f"{figure.section:6}{figure.name:40}{columns}{within:>10}  {verdict}", holds


# The last of the heads that the course names, and its figures, by model.
TABLES = {GPT2: (Head(7, 11), GPT2_FIGURES), MODEL: (Head(1, 11), FIGURES)}


def main() -> int:
    """Print every figure of the models that are here; 0 if both are and all hold."""
    held = 0
    for name, (last, figures) in TABLES.items():
        try:
            model = load_model(find_model(name).name)
            require_heads(model.info, last)
        except AnalysisError as refusal:
            print(f"{refusal} {BRING[name]}")
            continue
        print(f"{name:46}{'course':>27}{'ours':>27}{'within':>10}")
        measured = Measured(model)
        for figure in figures:
            line, holds = compare(figure, measured)
            print(line, flush=True)
            held += holds
        del model, measured  # before the next one takes memory
    total = sum(len(figures) for _, figures in TABLES.values())
    print(f"{held} of {total} figures agree with the course.")
    return 0 if held == total else 1


if __name__ == "__main__":
    raise SystemExit(main())
