"""`analysis` with all that it takes, imported once and by one thread."""

from __future__ import annotations

import gc
import threading
import time
from functools import cache

import analysis
from app.compute.memory import return_memory

# Seconds; it takes a few hundredths of one.
TIDY_EVERY = 60.0
_importing = threading.Lock()


def import_all() -> None:
    """Import torch, TransformerLens and every public name of `analysis`: others wait.

    Not before it is needed, so that the first screen does not wait for them, and not by two threads
    at the same time: transformers fills its modules lazily, and both would see names missing.
    """
    with _importing:
        _import_all()


@cache
def _import_all() -> None:
    for name in dir(analysis):
        getattr(analysis, name)
    # What has been imported stays: no collection of garbage has to walk through it again. Before
    # any model is loaded, because what is set apart is never collected.
    gc.collect()
    gc.freeze()
    threading.Thread(target=_tidy_up, daemon=True, name="memory").start()


def _tidy_up() -> None:
    """Now and then give back the memory that busy times leave with the allocator."""
    while True:
        time.sleep(TIDY_EVERY)
        return_memory()
