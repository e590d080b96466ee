"""Questions: what each is remembered by is the name of what answers it."""

from dataclasses import replace

import pytest
import torch

from analysis.models.catalog import find_model
from app.compute.ask import bytes_needed
from app.compute.calls.by_name import questions
from app.compute.question import Question
from app.compute.refusals import NoMemory
from app.config import Config

QUESTIONS = questions()


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_has_the_name_of_the_function_that_answers_it(question: Question) -> None:
    assert question.function().__name__ == question.name


def test_every_question_is_found() -> None:
    assert len(QUESTIONS) > 40


def test_no_memory_is_a_sentence() -> None:
    def too_much(model: object) -> int:
        return torch.empty(2**60, dtype=torch.int8).numel()

    with pytest.raises(NoMemory, match="There was not enough memory for this. Try again") as caught:
        Question("too_much", lambda: too_much)(None)
    # Nothing holds the frames in which it was taken.
    assert caught.value.__cause__ and caught.value.__cause__.__traceback__ is None
    with pytest.raises(RuntimeError, match="shape"):
        Question("wrong", lambda: lambda model: torch.zeros(2).reshape(3))(None)


# Layers, heads, width, vocabulary and neurons, as published.
LARGE = {
    "Llama 3.2 1B": (16, 32, 2048, 128_256, 8192),
    "Gemma 3 270M": (18, 4, 640, 262_144, 2048),
    "Gemma 3 1B": (26, 4, 1152, 262_144, 6912),
    "GPT-2 XL": (48, 25, 1600, 50_257, 6400),
    "a 7B": (32, 32, 4096, 32_000, 11_008),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_models_scores_are_told_to_take_what_is_allowed(name: str) -> None:
    """On 10 x 101 tokens, as pages fix it: most of those above were over the 4,096 MB."""
    n_layers, n_heads, d_model, d_vocab, d_mlp = LARGE[name]
    sizes = {"n_layers": n_layers, "n_heads": n_heads, "d_model": d_model, "d_vocab": d_vocab}
    info = replace(find_model("attn-only-2l"), **sizes, d_mlp=d_mlp)
    allowed = Config().memory_mb * 2**20
    for question in (QUESTIONS["head_scores"], QUESTIONS["next_token_stats"]):
        assert question.logits in ("none", "some")
        assert bytes_needed(info, (10, 101), logits=question.logits) < allowed
