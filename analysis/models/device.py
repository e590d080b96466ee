"""The GPU that models are loaded to, where there is one: its memory, and when it is done."""

import shutil
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# What is there where a driver is: on Linux and within Windows.
_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


@cache
def device_memory() -> int | None:
    """Bytes of the memory of the device that `load_model` takes by itself; None for main memory.

    PyTorch, which takes seconds to import, is asked only where a driver is installed.
    """
    if "torch" not in sys.modules and not _has_driver():
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(0).total_memory)


def wait_for(device: "torch.device") -> None:
    """Wait until a device has done what it was told: a GPU works on while Python goes on."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def release_kept() -> None:
    """Give back what PyTorch keeps of a GPU's memory for what it makes next."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _has_driver() -> bool:
    return any(file.exists() for file in _DRIVERS) or shutil.which("nvidia-smi") is not None
