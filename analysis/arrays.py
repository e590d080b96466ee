"""Results leave torch here: detached, float32, numpy, read-only."""

from typing import Any

import numpy as np


def to_numpy(tensor: Any) -> np.ndarray:
    """A float32 copy of `tensor` (int64 for integers) that owns its memory."""
    array = tensor.detach().cpu().numpy()
    kind = np.float32 if array.dtype.kind == "f" else array.dtype
    return np.array(array, dtype=kind)


def freeze(result: Any, *names: str) -> None:
    """Make the arrays of a frozen dataclass read-only: one object is shared by every visitor."""
    for name in names:
        getattr(result, name).setflags(write=False)
