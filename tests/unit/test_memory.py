"""The C library's arenas."""

import re
import subprocess
import sys

import pytest

from app.compute.memory import ARENAS

_MEASURE = """
import ctypes, threading
from app.compute.memory import bound_arenas
{before}
hold, release = [], threading.Event()
def work():
    hold.append([bytearray(3000) for _ in range(50)])
    release.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
release.set()
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def _arenas(before: str) -> int:
    told = subprocess.run(
        [sys.executable, "-c", _MEASURE.format(before=before)], capture_output=True, check=True
    )
    return len(re.findall(rb"<heap nr=", told.stdout))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's arenas")
def test_threads_share_a_few_arenas() -> None:
    if _arenas("") <= ARENAS:
        pytest.skip("this C library has few arenas by itself")
    assert _arenas("bound_arenas()") == ARENAS
