"""Questions: what each is remembered by is the name of what answers it."""

import importlib
import pkgutil

import pytest
import torch

from app.compute import calls
from app.compute.admission import NoMemory
from app.compute.question import Question

QUESTIONS = {
    question.name: question
    for module in pkgutil.iter_modules(calls.__path__, f"{calls.__name__}.")
    for question in vars(importlib.import_module(module.name)).values()
    if isinstance(question, Question)
}


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
