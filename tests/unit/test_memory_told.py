"""What admission is told of a computation's memory, beside what it takes.

Measured on models that are large in one way each: a vocabulary of 262,144 in front of 16 numbers,
32 x 32 heads, many layers of neurons.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

import analysis
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from analysis.models import catalog
from analysis.models.loading import HeadModel
from analysis.sets.rows import PromptRow, PromptSet
from app.compute.ask import bytes_of
from app.compute.memory import return_memory
from bench.memory import peak_of
from tests import encoders
from tests.model_folders import LARGE, save
from tests.unit.test_question import QUESTIONS

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux"
)
Asked = tuple[tuple[Any, ...], dict[str, Any]]
Ask = Callable[[str, str], tuple[HeadModel, Asked]]
# Beside a large vocabulary, which all are measured with: what keeps patterns, parts or edges of
# many heads, and what keeps neurons of many layers.
OF_HEADS = (
    "head_scores",
    "resting_attention",
    "attention_patterns",
    "k_composition",
    "ablation_estimate",
    "edge_attribution",
    "pair_faithfulness",
)
OF_NEURONS = ("ablate_head", "ablation_estimate", "attribution_patching", "neuron_peaks")
# Which the other models refuse; and what encoders are asked besides.
OF_ENCODERS_ALONE = ("scores_of_encoder", "masked_loss", "masked_ablation")
OF_ENCODERS = (
    *OF_ENCODERS_ALONE,
    "attention_patterns",
    "attribution_patching",
    "activation_patching",
)
ENCODERS: dict[str, dict[str, Any]] = {
    "wide-encoder": {"vocab_size": 262_144},
    "encoder-of-many-heads": {
        "hidden_size": 128,
        "num_hidden_layers": 8,
        "num_attention_heads": 128,
    },
}
MEASURED = [
    *(("wide-vocabulary", name) for name in QUESTIONS if name not in OF_ENCODERS_ALONE),
    *(("many-heads", name) for name in OF_HEADS),
    *(("many-neurons", name) for name in OF_NEURONS),
    *((shape, name) for shape in ENCODERS for name in OF_ENCODERS),
]
PROMPT = "The cat sat on the mat. The dog sat on the log. " * 2
ROWS = tuple(
    PromptRow(f"The {a} {b} sat on", answer=" the", foil=" cat", corrupt=f"The {b} {a} sat on")
    for a in "ab"
    for b in "ef"
)
WRITER, READER = Head(0, 1), Head(1, 2)


def cases(model: HeadModel, name: str) -> Asked:
    """What pages ask of a question; all of it small enough to be quick."""
    rows = analysis.repeated_tokens(model, 10, 3)
    one = analysis.tokenize(model, PROMPT)
    spoken = replace(one, speakers=("user",) * one.length)
    sides = (analysis.tokenize(model, f"The {x} sat on the mat. The dog") for x in ("cat", "dog"))
    pair = analysis.prompt_pair(model, *sides, 5, 9)
    prompts = PromptSet("rows", ROWS)
    some = tuple(all_heads(model.info))[::40][:8]
    cells = ((0, 1), (1, 0))
    # Of many heads the edges take as long as all the rest.
    if name == "faithfulness":
        return (rows, analysis.edge_attribution(model, rows).edges[:5]), {}
    if name == "pair_faithfulness":
        return (pair, analysis.pair_edge_attribution(model, pair).edges[:5]), {}
    every: dict[str, Asked] = {
        "tokenize": ((PROMPT,), {}),
        "repeated_tokens": ((10, 3, 0), {}),
        "paired_tokens": ((5, 3, 0), {}),
        "prompt_set": (("greater-than",), {"count": 8, "seed": 0}),
        "fit_set": ((prompts, True), {}),
        "direct_effects": ((analysis.fit_set(model, prompts), ()), {}),
        "one_token": ((" the",), {}),
        "texts_of_ids": (((5, 9),), {}),
        "mask_token": ((), {}),
        "conversation_on": (((("user", PROMPT),), "2026-01-02"), {}),
        "text_windows": ((PROMPT, 16), {}),
        "next_token_stats": ((rows,), {}),
        "logit_lens": ((one,), {}),
        "logit_attribution": ((one,), {"targets": None, "foils": None, "end": 7}),
        "source_attribution": ((one, READER), {"targets": None, "foils": None, "end": 7}),
        "weighted_patterns": (
            (one, "answer", tuple(range(model.n_layers))),
            {"targets": None, "foils": None, "end": 7, "without": ()},
        ),
        "speaker_attention": ((spoken,), {}),
        "speaker_attribution": ((spoken, one.length - 1, None, None, 7), {}),
        "score_split": ((one, READER, 6, 3, 0), {}),
        "k_composition": ((rows, 1, 2), {}),
        "head_scores": ((rows,), {"without": ()}),
        "distance_profile": ((rows,), {}),
        "resting_attention": ((rows,), {}),
        "keep_only": ((rows, some), {}),
        "attention_patterns": ((one, tuple(range(model.n_layers)), ()), {}),
        "mosaic_scores": ((), {}),
        "ablate_heads": ((rows, some, "mean"), {"seed": 0}),
        "pair_ablation": ((rows, some[:3], "mean"), {"seed": 0}),
        "offset_ablation": ((rows, 1, ((0,),)), {}),
        "ablate_each": ((rows, some, "mean"), {"seed": 0, "scored_only": True}),
        "ablate_head": ((rows, READER, "mean"), {"seed": 0}),
        "targeted_ablation": ((rows, READER), {}),
        "answer_ablation": ((one, some[:3], 9, 5, 9), {}),
        "intervene": ((one, "L0H1x0", READER), {"second": None, "seed": 0}),
        "flip_set": ((one, 5, 9), {"most": 2, "seed": 0}),
        "write_on": ((one, "L0H1x0", 2), {"seed": 0}),
        "ablation_estimate": ((rows, "mean"), {"seed": 0}),
        "prompt_pair": ((pair.clean, pair.corrupt), {"answer": 5, "foil": 9}),
        "attribution_patching": ((pair,), {}),
        "activation_patching": ((pair, "z", cells), {}),
        "path_patching": ((pair, Head(1, 0), "k"), {}),
        "edge_attribution": ((rows,), {}),
        "pair_edge_attribution": ((pair,), {}),
        "parameters": ((), {}),
        "hook_points": ((), {}),
        "promoted_tokens": ((1, 2), {}),
        "activation": ((one, "blocks.1.attn.hook_pattern"), {}),
        "head_weight": ((READER, "W_Q"), {}),
        "verify_pattern": ((one, 1), {}),
        "neuron_peaks": ((one,), {"skip_first": True}),
        "neuron_activations": ((one, 1), {}),
        "score_by_row": ((prompts, "induction", "prompt", True), {}),
        "attention_by_row": ((prompts, "end", "start", "prompt", True), {}),
        "direct_by_row": ((prompts, True), {}),
        "ablation_by_row": ((prompts, "zero"), {"seed": 0, "prepend_bos": True}),
        "patching_by_row": ((prompts, True), {}),
        "role_scores": ((prompts, 0), {"prepend_bos": True}),
        "mean_direct_effects": ((prompts,), {"prepend_bos": True}),
        "verdict": ((prompts, some[:2], "zero"), {"seed": 0, "prepend_bos": True}),
        "long_text": ((PROMPT, 20, True), {}),
        "text_tiles": ((PROMPT, 20, True), {"most": 10}),
        "text_rows": ((PROMPT, 20, True), {"head": READER, "start": 3, "stop": 9}),
        "set_edges": ((prompts, "mean"), {"seed": 0, "prepend_bos": True}),
        "circuit_score": (
            (prompts, "L0H1,L1H2_L0H1-L1Q2,L1H2-logits", "mean"),
            {"draws": 2, "removals": 2, "seed": 0, "prepend_bos": True},
        ),
        "ov_copying": (((READER,),), {}),
        "ov_sample": (((READER,),), {"size": 200, "seed": 0}),
        "ov_eigenvalues": ((), {}),
        "ov_top_tokens": ((READER, 5), {}),
        "qk_preferences": ((READER, 5), {}),
        "ov_svd": ((READER,), {"n": 2, "top": 10}),
        "factored_matrix_facts": ((), {}),
        "time_factored": ((READER,), {"rows": 64, "repeats": 2}),
        "previous_token_circuit": ((0, 1), {}),
        "k_composition_circuit": ((WRITER, READER), {}),
        "composition_scores": (("K",), {}),
    }
    return every[name]


def cases_of_encoder(model: HeadModel, name: str) -> Asked:
    """The same of an encoder."""
    text = f"{encoders.TEXT} {encoders.TEXT} {encoders.TEXT} the cat ran"
    tokens = analysis.tokenize(model, f"{text}\n---\n{text}")
    # Hardly a word in common: so many layers of random weights leave little of one.
    sides = (analysis.tokenize(model, f"{x} [MASK] .") for x in (text, " ".join(["dog"] * 24)))
    pair = analysis.prompt_pair(model, *sides, 6, 11)
    every: dict[str, Asked] = {
        "scores_of_encoder": ((tokens,), {}),
        "masked_loss": ((tokens,), {}),
        "masked_ablation": ((tokens, "mean"), {"heads": (Head(0, 1), READER)}),
        "attention_patterns": ((tokens, tuple(range(model.n_layers)), ()), {}),
        "attribution_patching": ((pair,), {}),
        "activation_patching": ((pair, "z", ((0, 1), (1, 0))), {}),
    }
    return every[name]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Makes a model, and what it is asked; the last model is kept.

    As a parameter of the fixture each model would be made anew for each question.
    """
    root = tmp_path_factory.mktemp("large")

    @lru_cache(maxsize=1)
    def made(name: str) -> HeadModel:
        encoder = ENCODERS.get(name)
        if encoder:
            encoders.save(root, name, {**encoders.BERT, "max_position_embeddings": 64, **encoder})
        else:
            save(root, name, LARGE[name])
        catalog.refresh()
        return analysis.load_model(name, device="cpu")

    def ask(shape: str, name: str) -> tuple[HeadModel, Asked]:
        model = made(shape)
        return model, (cases_of_encoder if shape in ENCODERS else cases)(model, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSCOPE_MODELS", str(root))
        yield ask
    catalog.refresh()


@pytest.mark.parametrize(("shape", "name"), MEASURED)
def test_no_more_memory_is_taken_than_was_told(asked: Ask, shape: str, name: str) -> None:
    """Four at once that take more than they told would bring a server down."""
    model, (arguments, options) = asked(shape, name)
    question = QUESTIONS[name]

    told = bytes_of(question, model.info, (*arguments, *options.items()))

    def answer() -> None:
        try:
            found = question(model, *arguments, **options)
        except AnalysisError:  # such as circuits of queries and keys that turn
            assert not model.info.bidirectional
            return
        if name == "ablate_each":  # it comes bit by bit
            list(found)

    def taken() -> int:
        return_memory()
        return peak_of(answer)

    # Where memory is short, pages of the process that come back count too.
    assert any(taken() <= told for _ in range(3))
