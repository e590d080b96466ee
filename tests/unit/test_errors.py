"""The exception that pages show as a sentence."""

import pytest
import torch

from analysis import AnalysisError
from analysis.errors import out_of_memory


def test_a_notebook_can_catch_it_as_a_value_error():
    assert issubclass(AnalysisError, ValueError)


def test_its_text_is_the_sentence_that_a_page_shows():
    assert str(AnalysisError("S is 1; change S.")) == "S is 1; change S."


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
            True,
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (AnalysisError("S is 1; change S."), False),
    ],
)
def test_what_passes_by_itself_is_told_from_what_does_not(error: Exception, is_one: bool) -> None:
    assert out_of_memory(error) == is_one


def test_pytorch_says_it_in_these_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.int8)
    assert out_of_memory(caught.value)
