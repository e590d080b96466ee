"""A worker process: it answers the messages that come in, until there are no more.

python -m app.compute.workers.serve
"""

import os
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from analysis.models.catalog import find_model
from app.compute.calls.by_name import questions
from app.compute.loaded_models import most_weights, require_allowed
from app.compute.workers.process import read_message, write_message
from app.compute.workers.workshop import Workshop
from app.config import settings

if TYPE_CHECKING:
    from analysis.models.loading import HeadModel


def load(name: str, on_gpu: bool = True) -> "HeadModel":
    """A model whose weights lie in the pages of its file that all workers share, or on a GPU.

    Args:
        name: Which.
        on_gpu: Whether it goes to a GPU where there is one.
    """
    import torch

    import analysis
    from analysis.models.mapped import map_weights
    from app.compute.memory import return_memory

    require_allowed(find_model(name), most_weights(settings(), on_gpu))
    torch.set_num_threads(1)
    model = analysis.load_model(name, "auto" if on_gpu else "cpu")
    map_weights(model)
    return_memory()
    return model


def main() -> None:
    """Answer until the process that asks has gone."""
    # What libraries print must not get between the messages.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    settings()  # which models are offered
    # Several would share one GPU, each with a copy: they are there for the cores.
    workshop = Workshop(partial(load, on_gpu=False), questions())
    # Who has asked may be gone by the time of the answer.
    with suppress(BrokenPipeError):
        while (data := read_message(sys.stdin.buffer)) is not None:
            write_message(answers, workshop.answer(data))


if __name__ == "__main__":
    main()
