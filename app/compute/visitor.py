"""Whoever asks for a computation, as far as the numbers know them.

No Streamlit in here: a page's visitor knows how to show a place in the queue and whether its page
is still there.
"""

from collections.abc import Callable
from typing import Protocol

Clock = Callable[[], float]
# Of whom is remembered what they have used; who was away longest starts anew anyway.
MAX_VISITORS = 10_000


class Visitor(Protocol):
    """Whoever asks for a computation; its methods may raise to leave."""

    @property
    def name(self) -> str | None:
        """What tells this visitor from others; None: nobody, who lets all others go first."""

    @property
    def address(self) -> str | None:
        """Where the visitor's requests come from, as far as that is known."""

    def check(self) -> None:
        """Called now and then while this visitor waits."""

    def waits(self, place: int, seconds: float) -> None:
        """`place` computations come first (1: the next one); about so many seconds are left."""

    def enters(self) -> None:
        """The wait is over, one way or the other."""

    def starts(self, what: str) -> None:
        """What `what` says begins, here or in a thread that is awaited; not told twice."""

    def loads(self, title: str, nbytes: int) -> None:
        """A model of so many bytes is loaded meanwhile; told now and then until `ends`."""

    def ends(self) -> None:
        """It is over, or never began; may raise, so nothing that was found may depend on it."""

    def steps_aside(self) -> None:
        """From here on this visitor waits, for a turn or an answer; may be told again."""

    def comes_back(self) -> None:
        """The answer is there, and what was going on goes on; may wait, and raise to leave."""


def awaiting(who: Visitor, title: str, nbytes: int, doing: str = "") -> Callable[[bool], None]:
    """What is called while `who` waits for a worker, with whether that loads a model first.

    Args:
        who: Whoever waits; told which of the two goes on.
        title: Of the model.
        nbytes: Of its weights.
        doing: What is done when it is loaded, as `Visitor.starts` takes it; empty: nothing is told.
    """
    before = False

    def pause(loading: bool) -> None:
        nonlocal before
        if loading != before:
            before = loading
            who.ends()
            if doing and not loading:
                who.starts(doing)
        if loading:
            who.loads(title, nbytes)
        else:
            who.check()

    return pause


class Nobody:
    """Work that no page waits for, such as a sweep in the background."""

    name: str | None = None
    address: str | None = None

    def check(self) -> None:
        """Nobody cannot leave."""

    def waits(self, place: int, seconds: float) -> None:
        """Nobody reads it."""

    def enters(self) -> None:
        """Nothing was shown."""

    def starts(self, what: str) -> None:
        """Nobody reads it."""

    def loads(self, title: str, nbytes: int) -> None:
        """Nobody reads it."""

    def ends(self) -> None:
        """Nothing was shown."""

    def steps_aside(self) -> None:
        """Nothing is going on."""

    def comes_back(self) -> None:
        """Nothing was going on."""
