"""Runs that go on where the last one of the same text has ended: keys and values are kept."""

import warnings
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from analysis.errors import out_of_memory
from analysis.models.attention import angles_depend_on_length
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, run
from analysis.runs.suffix import TOLERANCE


class Onward:
    """One text as it grows; each token is run once where that has been seen to be exact."""

    def __init__(self, model: HeadModel):
        self._model = model
        self._keys = DynamicCache() if keeps_keys(model) else None
        self._done = 0

    @property
    def at(self) -> int:
        """The position of the first token that the next run runs."""
        return self._done

    def last_logits(
        self, ids: Int[Tensor, "1 pos"], hooks: Sequence[tuple[str, Hook]] = ()
    ) -> Float[Tensor, " d_vocab"]:
        """Logits at the end of a text that begins with that of the run before.

        Hooks see the activations from position `at` on alone; patterns with all their sources.
        """
        new = ids[:, self._done :]
        last = torch.tensor([new.shape[1] - 1])
        logits, _ = run(self._model, new, hooks=hooks, positions=last, keys=self._keys)
        if self._keys is not None:
            self._done = ids.shape[1]
        return logits[0, -1]


def keeps_keys(model: HeadModel) -> bool:
    """Whether runs of this model that go on have been seen to equal whole ones; tried once."""
    if model not in _EXACT:
        _EXACT[model] = _seen_exact(model)
    return _EXACT[model]


# Keyed by the loaded model itself, which may be one of several of the same name.
_EXACT: WeakKeyDictionary[HeadModel, bool] = WeakKeyDictionary()


def _seen_exact(model: HeadModel) -> bool:
    if angles_depend_on_length(model.bridge):  # a few tokens would not show it
        return False
    ids = (torch.arange(10) * 7 % model.d_vocab)[None]

    def silence(z: Tensor, hook: object) -> Tensor:
        z = z.clone()
        z[:, :, 0] = 0
        return z

    hooks = [(f"blocks.{model.n_layers // 2}.attn.hook_z", silence)]
    whole, _ = run(model, ids, hooks=hooks)
    keys = DynamicCache()
    try:
        parts = [run(model, some, hooks=hooks, keys=keys)[0] for some in ids.split([6, 1, 3], 1)]
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        if out_of_memory(error):
            raise  # the next try may find it, and whole runs would be slow for good
        # A model that takes none: whole runs are as right.
        warnings.warn(f"{model.name} keeps no keys and values: {error}", stacklevel=2)
        return False
    apart = torch.cat(parts, 1).log_softmax(-1) - whole.log_softmax(-1)
    return bool(apart.abs().max() < TOLERANCE)
