"""Questions: what each is remembered by is the name of what answers it."""

import importlib
import pkgutil

import pytest

from app.compute import calls
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
