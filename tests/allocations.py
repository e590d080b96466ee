"""What a computation allocates, seen at the level of torch's own operations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Watch(TorchDispatchMode):
    """Notes the size of every new tensor; views of old ones are not new."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = [0]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, torch.Tensor)]
        known = {x.untyped_storage().data_ptr() for x in given}
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor) and each.untyped_storage().data_ptr() not in known:
                self.sizes.append(each.untyped_storage().nbytes())
        return made


@contextmanager
def largest_tensor() -> Iterator[_Watch]:
    """Watches tensors that are made inside; `max(watch.sizes)` is the largest one in bytes."""
    with _Watch() as watch:
        yield watch
