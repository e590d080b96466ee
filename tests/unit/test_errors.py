"""The exception that pages show as a sentence."""

from analysis import AnalysisError


def test_a_notebook_can_catch_it_as_a_value_error():
    assert issubclass(AnalysisError, ValueError)


def test_its_text_is_the_sentence_that_a_page_shows():
    assert str(AnalysisError("S is 1; change S.")) == "S is 1; change S."
