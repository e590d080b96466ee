"""Weights that several processes share: the pages of their file, mapped into each."""

import torch
from safetensors import safe_open

from analysis.models.files import weight_files
from analysis.models.loading import HeadModel


def map_weights(model: HeadModel) -> int:
    """Let a loaded model read its weights where they lie in their file; how many bytes it does.

    Only what is there number by number, in float32: others stay the process's own. A process
    whose file is cut off under it ends, and one whose file is changed computes with the changes,
    so this is for one that can be spared and asks for the fingerprint each time.
    """
    parameters = list(model.bridge.parameters())
    mapped = 0
    for file in weight_files(model.info):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118  it is no mapping
                there = opened.get_tensor(name)
                for parameter in parameters:
                    if _alike(parameter, there) and torch.equal(parameter.data, there):
                        parameter.data = there
                        mapped += there.nbytes
    return mapped


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether they are in main memory, of one type and laid out alike: products stay the same."""
    there, here = ((each.device, each.dtype, each.shape, each.stride()) for each in (one, other))
    return there == here
