"""`analysis` and its models, imported and loaded once.

torch and TransformerLens come on first use only, so that the first screen does not wait for them.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import analysis
from analysis.models.catalog import find_model
from analysis.models.info import machine_memory
from app.compute.admission import visitor
from app.compute.loaded_models import LoadedModels
from app.compute.memory import return_memory
from app.config import settings
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel


# Seconds after the first page.
WARM_UP_AFTER = 2.0
# Seconds; it takes a few hundredths of one.
TIDY_EVERY = 60.0
# Of the main memory, for loaded models: as for `ModelInfo.fits`.
SHARE_OF_MEMORY = 2 / 3
_log = logging.getLogger("headscope")
_importing = threading.Lock()
_models = LoadedModels(
    settings().models_in_memory,
    settings().models_mb * 2**20 or int(machine_memory() * SHARE_OF_MEMORY),
    load=lambda info: engine().load_model(info.name),
)


@cache
def warm_up(name: str) -> None:
    """Load the model called `name` in the background, while the visitor reads the first page."""

    def load() -> None:
        # An import holds up the server while the browser still fetches the page's scripts.
        time.sleep(WARM_UP_AFTER)
        loaded(find_model(name))

    threading.Thread(target=load, daemon=True, name="warm-up").start()


def model_of(selection: Selection) -> HeadModel:
    """The loaded model of a view."""
    return loaded(selection.info)


def engine() -> ModuleType:
    """`analysis` with everything imported, by one thread: others wait.

    transformers fills its modules lazily, and two threads that import it at the same time see
    names missing.
    """
    with _importing:
        return _import_all()


@cache
def _import_all() -> ModuleType:
    for name in dir(analysis):
        getattr(analysis, name)
    if settings().threads:
        import torch

        torch.set_num_threads(settings().threads)
    # What has been imported stays: no collection of garbage has to walk through it again. Before
    # any model is loaded, because what is set apart is never collected.
    gc.collect()
    gc.freeze()
    threading.Thread(target=_tidy_up, daemon=True, name="memory").start()
    return analysis


def _tidy_up() -> None:
    """Now and then give back the memory that busy times leave with the allocator."""
    while True:
        time.sleep(TIDY_EVERY)
        return_memory()


def loaded(info: ModelInfo) -> HeadModel:
    """A model, loaded once for all visitors."""
    return _models.get(info, visitor())
