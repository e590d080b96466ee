"""What the C library and PyTorch keep of the memory that the server has used."""

import ctypes
import gc
import sys
from typing import Any

from analysis.models.device import release_kept

# Number of that setting in glibc's malloc.h.
M_ARENA_MAX = -8
# Python lets one thread at a time allocate most of what is allocated here.
ARENAS = 2


def bound_arenas() -> None:
    """Let threads share arenas; to be called before there are many.

    Each visitor's run is a thread. With an arena for each of sixteen threads 50 visitors leave
    300 MB of gaps behind that only the same threads would fill again (`bench.load`).
    """
    if mallopt := _glibc("mallopt"):
        mallopt(M_ARENA_MAX, ARENAS)


def return_memory() -> None:
    """Give what is no longer used back to the system, which an allocator does not do by itself."""
    gc.collect()
    release_kept()
    if trim := _glibc("malloc_trim"):
        trim(0)


def _glibc(function: str) -> Any:
    """A function that not every C library has."""
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None
