"""Refusals that say nothing about what was asked, such as how busy the server is."""

from collections.abc import Iterator
from contextlib import contextmanager

from analysis.errors import AnalysisError, out_of_memory


class TryAgain(AnalysisError):
    """A refusal that says nothing about what was asked: how busy the server is, say."""


class NoMemory(TryAgain):
    """The machine had no memory left for something: true of all who wait for it now."""


@contextmanager
def memory_errors_said() -> Iterator[None]:
    """Say in a sentence that there was no memory.

    Raises:
        NoMemory: In place of what Python or PyTorch raises for it.
    """
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        # Without its frames, which hold what took the memory.
        raise NoMemory(
            "There was not enough memory for this. Try again in a minute; a shorter text, fewer "
            "sequences or a smaller model take less."
        ) from error.with_traceback(None)
