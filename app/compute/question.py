"""A question to a model: the name it is remembered by, and the function that answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Concatenate, Generic, Literal, ParamSpec, TypeVar

from app.compute.imports import import_all
from app.compute.refusals import memory_errors_said

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel

P = ParamSpec("P")
R = TypeVar("R")
# Which logits are there at once when the model is run: none, for what is read of the stream alone;
# those of some sequences (`analysis.limits.rows_at_once`), of which nothing is kept; all; or all
# with every slope on the way back from them.
Logits = Literal["none", "some", "all", "slopes"]


@dataclass(frozen=True, eq=False)
class Question(Generic[P, R]):
    """One function of `analysis`, which takes a model and `P` and returns an `R`.

    Whoever asks is held to the function's own parameters by mypy, so that one which is renamed or
    moved is an error before anything runs.

    `function` is called to have it: `lambda: analysis.ov_copying` imports torch no sooner than it
    is asked. `runs` says how many sequences and positions the model is run on beside the tokens
    that are handed over. `logits` and `beside` say what it takes of memory: which logits are there
    at once, and bytes of whatever else grows with a model, on so many tokens. `by_worker` says
    that it is left to a worker where there are some, also where models are loaded here.
    """

    name: str
    function: Callable[[], Callable[Concatenate[HeadModel, P], R]]
    runs: Callable[[ModelInfo], tuple[int, int]] | None = None
    logits: Logits = "all"
    beside: Callable[[ModelInfo, int], int] | None = None
    by_worker: bool = False

    def __call__(self, model: HeadModel, *arguments: P.args, **options: P.kwargs) -> R:
        """The answer, worked out here and now; `app.compute.ask` has those that are kept.

        Raises:
            NoMemory: The machine has none left for it.
        """
        import_all()
        with memory_errors_said():
            return self.function()(model, *arguments, **options)
